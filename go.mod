module gatehouse

go 1.26.0

require (
	github.com/yalue/onnxruntime_go v1.27.0
	golang.org/x/image v0.47.0
	golang.org/x/sys v0.50.0
)

require golang.org/x/text v0.43.0 // indirect
