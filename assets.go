// Package gatehouse carries the foreign files that the one binary is made of:
// the inference runtime with its C++ libraries, the default model pack, the
// specimens' font, and everybody's licence. `make assets` fetches and checks
// them; nothing is fetched later.
package gatehouse

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

//go:embed build/assets/libonnxruntime.so
var libonnxruntime []byte

//go:embed build/assets/libstdc++.so.6
var libstdcxx []byte

//go:embed build/assets/libgcc_s.so.1
var libgcc []byte

//go:embed build/assets/default.pack
var defaultPack []byte

//go:embed build/assets/OCRB.otf
var ocrB []byte

//go:embed build/assets/THIRD_PARTY.txt
var thirdParty []byte

//go:embed build/assets/sums.json
var sums []byte

// ErrAsset says that a byte inside the binary is not the one that was built.
var ErrAsset = errors.New("is damaged inside this binary: copy gatehouse again from its release")

// Asset names an embedded file.
type Asset string

// The embedded files.
const (
	ONNXRuntime Asset = "libonnxruntime.so"
	LibStdCxx   Asset = "libstdc++.so.6"
	LibGCC      Asset = "libgcc_s.so.1"
	DefaultPack Asset = "default.pack"
	OCRB        Asset = "OCRB.otf"
	ThirdParty  Asset = "THIRD_PARTY.txt"
)

// Open gives an embedded file, which must not be written to. Errors: ErrAsset
// where its bytes do not match the hash recorded by the build.
func (a Asset) Open() ([]byte, error) {
	b := a.Bytes()
	var want map[string]string
	if err := json.Unmarshal(sums, &want); err != nil {
		return nil, fmt.Errorf("sums.json %w", ErrAsset)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want[string(a)] {
		return nil, fmt.Errorf("%s %w", a, ErrAsset)
	}
	return b, nil
}

// Bytes gives an embedded file unchecked, for what checks itself.
func (a Asset) Bytes() []byte {
	switch a {
	case ONNXRuntime:
		return libonnxruntime
	case LibStdCxx:
		return libstdcxx
	case LibGCC:
		return libgcc
	case DefaultPack:
		return defaultPack
	case OCRB:
		return ocrB
	case ThirdParty:
		return thirdParty
	}
	return nil
}
