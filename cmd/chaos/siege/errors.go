package siege

import "errors"

var (
	// ErrNemesis: there is none of this name, or this machine cannot do it.
	ErrNemesis = errors.New("no such nemesis")
	// ErrLeader: no node says that it leads.
	ErrLeader = errors.New("no node leads")
)
