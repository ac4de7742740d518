//go:build !amd64

package gallery

func kernels() []kernel { return []kernel{portable()} }
