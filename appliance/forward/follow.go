package forward

import "fmt"

// Positions of the sinks, for the nodes that do not forward now: what is sent
// again when another one begins to is what they have not heard of.
func (f *Forwarder) Positions() map[string][]byte {
	all := map[string][]byte{}
	for _, s := range f.sinks {
		s.mu.Lock()
		if s.begun {
			all[s.target.Name] = encodeCursor(s.target.Name, s.at)
		}
		s.mu.Unlock()
	}
	return all
}

// Follow the positions of the node that forwards. Error: ErrCursor.
func (f *Forwarder) Follow(all map[string][]byte) error {
	for _, s := range f.sinks {
		b, ok := all[s.target.Name]
		if !ok {
			continue
		}
		at, err := parseCursor(b, s.target.Name)
		if err != nil {
			return fmt.Errorf("sink %s: %w", s.target.Name, err)
		}
		s.mu.Lock()
		s.told = at
		s.mu.Unlock()
	}
	return nil
}

// Sinks says whether there are any.
func (f *Forwarder) Sinks() bool { return len(f.sinks) > 0 }

// follow takes what the node that leads has told.
func (s *sink) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told != nil {
		s.at, s.told, s.begun, s.changed = s.told, nil, true, true
	}
}
