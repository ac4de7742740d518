package act_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/store/command"
)

// cluster answers a command as its function does.
type cluster func(ctx context.Context, c *command.Command) (*command.Answer, error)

func (f cluster) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	return f(ctx, c)
}

// What was begun is carried to its end although the caller has left; what was
// not begun is not begun for a caller who has left before.
func TestCallerLeaves(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	proposed := 0
	p := &act.Proposer{Node: "nod_a", Now: time.Now, Rand: rand.Reader, Cluster: cluster(func(ctx context.Context, _ *command.Command) (*command.Answer, error) {
		proposed++
		leave()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Minute {
			t.Errorf("it would wait until %v", at)
		}
		return &command.Answer{Id: "ses_a"}, nil
	})}
	c := access.Caller{Tenant: "ten_a", Client: "cli_a", Authn: access.ByKey}
	a, err := p.Propose(ctx, c, command.Type_SUBMIT, &command.Submit{Session: "ses_a"}, nil)
	if err != nil || a.Id != "ses_a" {
		t.Errorf("the answer is lost with the caller: %v, %v", a, err)
	}
	if _, err := p.Propose(ctx, c, command.Type_SUBMIT, &command.Submit{Session: "ses_a"}, nil); !errors.Is(err, context.Canceled) || proposed != 1 {
		t.Errorf("%v after %d proposals", err, proposed)
	}
}
