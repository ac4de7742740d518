package gallery

import "golang.org/x/sys/cpu"

// kernels that this processor can run, the fastest first.
func kernels() []kernel {
	var all []kernel
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VNNI {
		all = append(all, kernel{"avx512-vnni", sketch1AVX512, sketch4AVX512, restAVX512, dotsAVX512})
	}
	if x.HasAVX2 && x.HasAVXVNNI {
		all = append(all, kernel{"avx-vnni", sketch1AVXVNNI, sketch4AVXVNNI, restAVXVNNI, dotsAVXVNNI})
	}
	if x.HasAVX2 {
		all = append(all, kernel{"avx2", sketch1AVX2, sketch4AVX2, restAVX2, dotsAVX2})
	}
	return append(all, portable())
}

//go:noescape
func sketch1AVX512(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func sketch4AVX512(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func restAVX512(block *byte, groups int, probe *int8, sums *int32)

//go:noescape
func dotsAVX512(rows *uintptr, n, stride int, probe *int8, out *int32)

//go:noescape
func sketch1AVXVNNI(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func sketch4AVXVNNI(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func restAVXVNNI(block *byte, groups int, probe *int8, sums *int32)

//go:noescape
func dotsAVXVNNI(rows *uintptr, n, stride int, probe *int8, out *int32)

//go:noescape
func sketch1AVX2(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func sketch4AVX2(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)

//go:noescape
func restAVX2(block *byte, groups int, probe *int8, sums *int32)

//go:noescape
func dotsAVX2(rows *uintptr, n, stride int, probe *int8, out *int32)
