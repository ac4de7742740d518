// MASK8 keeps eight sums, and decides for their rows: to bits of AX.
#define MASK8(sum, at, q, keep) \
	VMOVDQU sum, keep \
	VCVTDQ2PS sum, sum \
	VBROADCASTSS (16*q+0)(BX), Y12 \
	VSUBPS Y12, sum, sum \
	VBROADCASTSS (16*q+4)(BX), Y12 \
	VMULPS Y12, sum, sum \
	VMULPS at(R9), sum, sum \
	VBROADCASTSS (16*q+8)(BX), Y12 \
	VMULPS at(R10), Y12, Y12 \
	VADDPS Y12, sum, sum \
	VBROADCASTSS (16*q+12)(BX), Y12 \
	VCMPPS $13, Y12, sum, sum \
	VMOVMSKPS sum, AX
