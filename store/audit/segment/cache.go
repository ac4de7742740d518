package segment

import (
	"container/list"
	"sync"
)

// page is one verified member of an open file.
type page struct {
	file   *file
	member int
}

// cache keeps the pages that were used last, up to max bytes.
type cache struct {
	max int

	mu    sync.Mutex
	bytes int
	pages map[page]*list.Element
	used  list.List // of *kept, the latest first
}

type kept struct {
	page
	value any // *bundle or *tree: never changed once it is here
	bytes int
}

func (c *cache) get(p page) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.pages[p]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*kept).value
}

func (c *cache) put(p page, value any, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages[p] != nil { // two read it at once
		return
	}
	if c.pages == nil {
		c.pages = map[page]*list.Element{}
	}
	c.pages[p] = c.used.PushFront(&kept{p, value, bytes})
	for c.bytes += bytes; c.bytes > c.max && c.used.Len() > 1; {
		c.remove(c.used.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	k := c.used.Remove(e).(*kept)
	delete(c.pages, k.page)
	c.bytes -= k.bytes
}

// forget the pages of a file.
func (c *cache) forget(f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, e := range c.pages {
		if p.file == f {
			c.remove(e)
		}
	}
}
