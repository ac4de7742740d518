// Package killpoint names moments at which a node must survive its death, so
// that tests can have it die at exactly these. Each is one call of At in the
// product.
//
// Only a build with the tag killpoints kills; the product's has nothing of it.
// It must never do anything but end the process, once for each time that it was
// armed.
package killpoint

// Point is a moment in the product.
type Point string

const (
	BlobKept     Point = "blob kept"     // it is durable here, under its name
	BlobCopied   Point = "blob copied"   // another node has it too, no command names it
	Agreed       Point = "agreed"        // a command is in the state here, who proposed it has no answer
	Applying     Point = "applying"      // an entry's rows are written, its index is not
	StateKept    Point = "state kept"    // the state that was sent is whole, its snapshot is not durable
	StateDurable Point = "state durable" // its snapshot is, the state is not in place
	RingStaged   Point = "ring staged"   // the others keep the next key-ring, it is not agreed on
	RingAgreed   Point = "ring agreed"   // it is agreed on, and in use nowhere
	RingKept     Point = "ring kept"     // it is on this disk, the one before is in use
)

// Variable of the environment that names the file which says at which point to
// die. The file is removed first, so that each time it is written kills once.
const Variable = "GATEHOUSE_KILLPOINT"
