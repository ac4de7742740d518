package audit

// ParseLeaf and Patient are the two ways by which DecodeLeaf reads.
var (
	ParseLeaf = parseLeaf
	Patient   = patient
)
