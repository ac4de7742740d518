package replica

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/store/blob"
)

// Peers are the other nodes.
type Peers interface {
	// Others are the ids of the other members of the cluster, in the order in
	// which to try them.
	Others() []string
	// Do sends a request to a node; its URL has path and query alone, and its
	// context bounds it until the body of the answer is closed.
	Do(node string, r *http.Request) (*http.Response, error)
}

// Config of a replica. Blobs, Peers, Log and Named are needed.
type Config struct {
	Blobs *blob.Store
	Peers Peers
	Log   *slog.Logger
	// Named calls do for each blob that the state names (hex name), until it
	// fails. do asks the disk, no other node. The state must be of now: one that
	// lags names blobs that the others have removed, and they would count as
	// lost. So a node that catches up gives an error instead.
	Named func(ctx context.Context, do func(name string) error) error
	// Rate of healing in bytes a second, 32 MiB if 0, at least 1 MiB.
	Rate int64

	// Lost is told of a blob that the state names and no node has whole, once in
	// this process; Repaired of one that was lost or damaged here and is whole
	// again. Run calls them, one at a time, and waits for them. Either may be nil.
	Repaired, Lost func(name string)
	// Stop is told of blob.ErrSync where no caller waits for it: the process must
	// end. It may be called from several goroutines. If nil it is logged.
	Stop func(error)
}

const (
	// Ours: a quarter of a link of 1 Gbit/s, the rest being for the service; 1 TB
	// takes nine hours.
	defaultRate = 32 << 20
	// Ours: two pulls at this rate still take a piece each many times in the time
	// after which the other side ends a stream that stands still.
	leastRate = 1 << 20
	burst     = 256 << 10 // bytes that a rate may be ahead
	piece     = 64 << 10  // bytes of one read or write
	pulls     = 2         // of healing at a time: one writes while one waits
)

// limits are what tests change.
type limits struct {
	idle  time.Duration // a stream without a byte ends
	send  time.Duration // for a second copy, and more for a large one (inTime)
	hedge time.Duration // the next node is tried as well
	ask   time.Duration // for a list of names
	shun  time.Duration // a node that failed is tried last
	queue time.Duration // a request waits for its turn in the handler

	pass, gap              time.Duration // between passes: usually, at least
	scrubFirst, scrubEvery time.Duration // after the start; from start to start

	missing          int // names of one listing
	scrubRate        int // bytes a second
	readers, writers int // requests at a time
}

// usual limits, all of them ours. The promise is an answer within 5 s (design:
// cluster), so that is what a second copy may take.
func usual() limits {
	return limits{
		idle: 10 * time.Second, send: 5 * time.Second, hedge: time.Second, ask: 5 * time.Second,
		shun: 30 * time.Second, queue: 2 * time.Second,
		pass: time.Minute, gap: time.Second, scrubFirst: 10 * time.Minute, scrubEvery: 24 * time.Hour,
		missing:   100_000, // 10 MB of names
		scrubRate: 4 << 20, // 1 TB in three days, at a few percent of what a disk reads
		readers:   64,      // two nodes that heal, and those who wait for a picture
		writers:   16,      // more fsyncs at a time do not make a disk faster
	}
}

// Replica is one node's part. Its methods may be called at once.
type Replica struct {
	config Config
	limits limits
	rate   *rate.Limiter
	nodes  nodes
	ills   ills
	wake   chan struct{}
	wanted chan string
	events chan event

	mu      sync.Mutex
	flights map[string]*flight
	stats   Stats
}

// Stats since New, but for those that say otherwise.
type Stats struct {
	Missing int // blobs that the state names and that are not here now, as the last pass found
	Lost    int // of those: no node has them
	// Lacking copies of the blobs that were missing here when the last pass began:
	// those here, and those on the others that answered.
	Lacking  int
	Healed   int64 // blobs that came from another node, for whatever reason
	Bytes    int64 // in them
	Scrubbed int64 // blobs that were hashed again
	Rotten   int64 // blobs that were put into quarantine
	Repaired int64 // blobs that were damaged or lost and are whole again
	// LastPass and LastScrub are when the last whole ones ended.
	LastPass, LastScrub time.Time
}

// New makes a replica; Run starts its work.
func New(c Config) *Replica {
	if c.Rate == 0 {
		c.Rate = defaultRate
	}
	return &Replica{
		config:  c,
		limits:  usual(),
		rate:    rate.NewLimiter(rate.Limit(max(c.Rate, leastRate)), burst),
		wake:    make(chan struct{}, 1),
		wanted:  make(chan string, maxWanted),
		events:  make(chan event, maxEvents),
		flights: map[string]*flight{},
	}
}

// Stats of now.
func (r *Replica) Stats() Stats {
	r.mu.Lock()
	s := r.stats
	r.mu.Unlock()
	s.Lost = r.ills.lost()
	return s
}

func (r *Replica) count(f func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

// stop is for a disk that failed where no caller waits.
func (r *Replica) stop(err error) {
	if r.config.Stop == nil {
		r.config.Log.Error("the disk failed to keep a blob", "error", err)
		return
	}
	r.config.Stop(err)
}
