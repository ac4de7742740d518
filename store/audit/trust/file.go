package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// format of the files that this package writes.
const format = 1

// encodeFile gives v as JSON, a member a line.
func encodeFile(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// decodeFile reads what encodeFile wrote. The caller compares what it makes of
// it with b, so that a file has one spelling.
func decodeFile(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("more than %d bytes", limit)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	if head.Format != format {
		return fmt.Errorf("format %d: this program reads format %d", head.Format, format)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

var errSpelling = errors.New("it is not written as the format says")
