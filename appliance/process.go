package appliance

import "runtime"

// Processors is the GOMAXPROCS of a node: more than it has cores. A goroutine that
// waits for the disk holds a processor of Go's, and one that crops pictures holds it
// for long: with one for each core the log and the API wait for inference. At
// saturation on 2 cores p95 of an upload was 38 ms with 8, 86 ms with 2, of a commit
// 15 ms and 24 ms, for 4 % more CPU (make bench).
func Processors() int { return max(8, 4*runtime.NumCPU()) }

// ballast of a node, in bytes. Go collects when the heap has doubled, and what a node
// keeps on it is little: at 5,000 writes a second it collected so often that three
// nodes used an eighth more CPU (0.26 and 0.23 s for 1,000 writes, make
// bench-cluster). With 16 to 64 MiB that is gone; with 128 and more the writes are
// slower again, as what is new is no longer in the cores' caches.
const ballast = 32 << 20

// Ballast is memory that the collector counts as the heap's and nobody touches, so
// that none of it is resident; what may wait to be collected, at most as much more,
// is. It must be kept alive while the node runs.
func Ballast() []byte { return make([]byte, ballast) }
