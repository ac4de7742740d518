package cluster_test

import (
	"context"
	"errors"
	"testing"

	"gatehouse/cluster"
)

// Who does not lead says so, whichever change of the members it is asked for.
func TestChangesAreForTheLeader(t *testing.T) {
	t.Parallel()
	c := three(t)
	leader := c.leader(t)
	follower := c.others(leader)[0].node
	for name, change := range map[string]func(context.Context, string) error{
		"add": follower.Add, "promote": follower.Promote, "remove": follower.Remove, "transfer": follower.Transfer,
	} {
		if err := change(t.Context(), leader.id); !errors.Is(err, cluster.ErrElsewhere) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := follower.Transfer(t.Context(), ""); !errors.Is(err, cluster.ErrElsewhere) {
		t.Errorf("transfer to any: %v", err)
	}
	c.same(t)
}
