package cluster_test

import (
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
)

var made atomic.Int64

// commandOf makes a command with its one event.
func commandOf(typ command.Type, payload proto.Message, action string) *command.Command {
	c, err := command.New(typ, payload)
	if err != nil {
		panic(err)
	}
	n := made.Add(1)
	c.Id, c.ProposedAtNs, c.Proposer, c.Actor = fmt.Sprint("cmd_", n), time.Now().UnixNano(), "nod_a", &command.Actor{Type: "node"}
	c.Events = []*command.Event{{Id: fmt.Sprint("evt_", n), Action: action, Result: "ok"}}
	return c
}
