package engine

// Status of a signal.
type Status string

const (
	Passed      Status = "passed"
	Failed      Status = "failed"
	Unavailable Status = "unavailable" // not measured; never a pass
)

// Signal is one measured fact.
type Signal struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value"` // nil where it was not measured
	Unit      string   `json:"unit,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
	Status    Status   `json:"status"`
	// FMR is the published false match rate of Value, where it is a
	// similarity: no such score goes without it.
	FMR   *float64 `json:"fmr,omitempty"`
	Model string   `json:"model,omitempty"` // its id in the pack
	// Milliseconds of the stage that measured it.
	Milliseconds float64 `json:"ms,omitempty"`
	Note         string  `json:"note,omitempty"`
}
