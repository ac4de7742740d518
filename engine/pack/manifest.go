package pack

// ManifestFile is the name of the manifest inside a pack.
const ManifestFile = "pack.json"

// FormatVersion is the manifest version that this reader understands.
const FormatVersion = 1

// Task says what a model is for. A pack has exactly one model of each task but
// FaceEmbed, of which it has one or more: their unit vectors are concatenated.
type Task string

const (
	FaceDetect    Task = "face-detect"
	FaceLandmarks Task = "face-landmarks"
	FaceEmbed     Task = "face-embed"
	FaceLiveness  Task = "face-liveness"
	FacePose      Task = "face-pose"
	FaceEyes      Task = "face-eyes"
	TextDetect    Task = "text-detect"
	TextRecognise Task = "text-recognise"
)

// Manifest is pack.json.
type Manifest struct {
	Format      int     `json:"format"`
	ID          string  `json:"id"`
	Version     string  `json:"version"`
	Models      []Model `json:"models"`
	Calibration File    `json:"calibration"`
}

// File is one file of a pack.
type File struct {
	Name   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Model describes one network: what it is for, how it is fed, and where it
// comes from.
type Model struct {
	File
	Name    string   `json:"name"`
	Task    Task     `json:"task"`
	Input   Input    `json:"input"`
	Outputs []string `json:"outputs"`
	// Dimensions is the length of an embedding; 0 for other tasks.
	Dimensions int        `json:"dimensions,omitempty"`
	Licence    Licence    `json:"licence"`
	Provenance Provenance `json:"provenance"`
	// Limits says in plain sentences what the model must not be trusted with.
	Limits []string `json:"limits"`
}

// Input is a network's input contract. A channel value v (0..255) is fed as
// (v - Mean[c]) / Std[c], in the order that Colour gives.
type Input struct {
	Name   string `json:"name"`
	Layout Layout `json:"layout"`
	// Width and Height in pixels; 0 where the network takes any.
	Width  int       `json:"width"`
	Height int       `json:"height"`
	Colour Colour    `json:"colour"`
	Mean   []float32 `json:"mean"`
	Std    []float32 `json:"std"`
	// Batch is the number of pictures in one run; 0 where any number is taken.
	Batch int `json:"batch"`
}

// Layout is the order of a tensor's axes.
type Layout string

const (
	NCHW Layout = "nchw"
	NHWC Layout = "nhwc"
)

// Colour is the order of a tensor's channels.
type Colour string

const (
	RGB  Colour = "rgb"
	BGR  Colour = "bgr"
	Grey Colour = "grey"
)

// Channels is 1 for Grey, else 3.
func (c Colour) Channels() int {
	if c == Grey {
		return 1
	}
	return 3
}

// Licence names the licence of a model's file and where its text lies in the
// pack. It says nothing of the pictures that the model was trained on.
type Licence struct {
	File
	SPDX string `json:"spdx"`
}

// Provenance says where a model comes from; "unknown" where it is unknown.
type Provenance struct {
	Package      string `json:"package"`
	Upstream     string `json:"upstream"`
	TrainingData string `json:"training_data"`
	Conversion   string `json:"conversion,omitempty"`
}
