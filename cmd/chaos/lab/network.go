package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

const (
	// router has this address on each of its ports.
	router = "10.71.255.254"
	// firstRule: the rules of cuts are numbered from here on, after the
	// kernel's rule 0 and before its 32766 (ip-rule(8)).
	firstRule = 100
	lastRule  = 32000
)

// batch runs lines of ip(8) in a namespace, in one process; one that fails
// keeps none of the others from being tried.
func batch(ctx context.Context, namespace string, lines []string) error {
	_, err := command(ctx, strings.Join(lines, "\n")+"\n", "ip", "-force", "-n", namespace, "-batch", "-")
	return err
}

// openRouter makes the namespace that all places are joined by.
func (l *Lab) openRouter(ctx context.Context) error {
	if _, err := command(ctx, "", "ip", "netns", "add", l.router); err != nil {
		return err
	}
	return inside(l.router, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
}

// addPlace makes a namespace with one interface, eth0, which leads to the
// router.
func (l *Lab) addPlace(ctx context.Context, name string, address netip.Addr) (*Place, error) {
	p := &Place{Name: name, lab: l, namespace: l.prefix + "-" + name, address: address}
	if _, err := command(ctx, "", "ip", "netns", "add", p.namespace); err != nil {
		return nil, err
	}
	if err := batch(ctx, l.router, []string{
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", name, p.namespace),
		fmt.Sprintf("addr add %s/32 dev %s", router, name),
		fmt.Sprintf("link set %s up", name),
		fmt.Sprintf("route add %s dev %s", address, name),
	}); err != nil {
		return nil, err
	}
	return p, batch(ctx, p.namespace, []string{
		"link set lo up",
		fmt.Sprintf("addr add %s/32 dev eth0", address),
		"link set eth0 up",
		fmt.Sprintf("route add %s dev eth0", router),
		"route add default via " + router,
	})
}

// way from one place to another.
type way struct{ from, to *Place }

func (w way) String() string { return w.from.Name + ">" + w.to.Name }

// both ways between each of a and each of b.
func both(a, b []*Place) (ways []way) {
	for _, x := range a {
		for _, y := range b {
			if x != y {
				ways = append(ways, way{x, y}, way{y, x})
			}
		}
	}
	return ways
}

// Cut takes a machine from all others, in both directions; with clients, from
// them too. A machine or client that is added later is not cut.
func (l *Lab) Cut(ctx context.Context, m *Machine, clients bool) (*Fault, error) {
	l.mu.Lock()
	others := places(l.machines)
	if clients {
		others = append(others, l.clients...)
	}
	l.mu.Unlock()
	return l.cut(ctx, "cut", m.Name, both([]*Place{m.Place}, others))
}

// CutOneWay loses what from sends to to; what to sends arrives.
func (l *Lab) CutOneWay(ctx context.Context, from, to *Place) (*Fault, error) {
	return l.cut(ctx, "cut one way", way{from, to}.String(), []way{{from, to}})
}

// Split takes groups of machines from each other; clients reach all of them.
func (l *Lab) Split(ctx context.Context, groups ...[]*Machine) (*Fault, error) {
	var ways []way
	var names []string
	for i, g := range groups {
		for _, other := range groups[i+1:] {
			ways = append(ways, both(places(g), places(other))...)
		}
		var name []string
		for _, m := range g {
			name = append(name, m.Name)
		}
		names = append(names, strings.Join(name, ","))
	}
	return l.cut(ctx, "split", strings.Join(names, " | "), ways)
}

func places(ms []*Machine) (ps []*Place) {
	for _, m := range ms {
		ps = append(ps, m.Place)
	}
	return ps
}

// cut loses the packets of ways. Each cut has a number of its own, so that cuts
// may lie over each other.
func (l *Lab) cut(ctx context.Context, name, where string, ways []way) (*Fault, error) {
	if len(ways) == 0 {
		return nil, fmt.Errorf("%w: %s of %q cuts nothing", ErrConfig, name, where)
	}
	return l.begin(name, where, "", Partition, "", func() (func() error, error) {
		l.mu.Lock()
		l.rules++
		number := firstRule + l.rules
		l.mu.Unlock()
		if number > lastRule {
			return nil, fmt.Errorf("%w: more than %d cuts", ErrConfig, lastRule-firstRule)
		}
		var add, remove []string
		for _, w := range ways {
			rule := fmt.Sprintf("pref %d iif %s to %s blackhole", number, w.from.Name, w.to.address)
			add, remove = append(add, "rule add "+rule), append(remove, "rule del "+rule)
		}
		end := func() error { return batch(context.Background(), l.router, remove) }
		if err := batch(ctx, l.router, add); err != nil {
			return nil, errors.Join(err, end())
		}
		return end, nil
	})
}
