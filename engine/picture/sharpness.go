package picture

// Sharpness is the variance of the Laplacian of a w × h grey picture (Pech-
// Pacheco 2000): low where it is blurred. 0 for what has no inner pixel.
func Sharpness(luma []float32, w, h int) float64 {
	if w < 3 || h < 3 {
		return 0
	}
	var sum, squares float64
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			v := float64(luma[i-1] + luma[i+1] + luma[i-w] + luma[i+w] - 4*luma[i])
			sum += v
			squares += v * v
		}
	}
	n := float64((w - 2) * (h - 2))
	return squares/n - sum/n*sum/n
}
