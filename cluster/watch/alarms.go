package watch

import (
	"context"
	"sync"
)

// maxUntold alarms wait for Tell: every kind, raised and ended, several times.
const maxUntold = 64

// alarms that are on, and those that were not told yet.
type alarms struct {
	untold chan Alarm

	mu sync.Mutex
	on map[Kind]Alarm
}

func newAlarms() alarms { return alarms{untold: make(chan Alarm, maxUntold), on: map[Kind]Alarm{}} }

func (a *alarms) set(k Kind, on bool, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, was := a.on[k]; was == on {
		return
	}
	alarm := Alarm{Kind: k, Ended: !on}
	if on {
		alarm.Detail = detail
		a.on[k] = alarm
	} else {
		delete(a.on, k)
	}
	select {
	case a.untold <- alarm:
	default: // Tell hangs; what is on can still be asked for
	}
}

func (a *alarms) all() []Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Alarm
	for _, k := range Kinds() {
		if alarm, on := a.on[k]; on {
			out = append(out, alarm)
		}
	}
	return out
}

func (a *alarms) tell(ctx context.Context, tell func(Alarm)) {
	for {
		select {
		case <-ctx.Done():
			return
		case alarm := <-a.untold:
			tell(alarm)
		}
	}
}
