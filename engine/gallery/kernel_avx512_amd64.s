#include "textflag.h"

// A line of a block holds eight dimensions of sixteen rows: byte 4r+i of it has
// dimension 8g+i of row r in its low half and 8g+4+i in its high half. A lane of
// a register thus belongs to one row, and no sum goes across lanes.

DATA low<>+0(SB)/4, $0x0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $4
DATA high<>+0(SB)/4, $0xf0f0f0f0
GLOBL high<>(SB), RODATA|NOPTR, $4

// MASK keeps the sums, turns them into the rows' upper bounds, and writes which
// reach the threshold: (float(lo + hi/16) - centre)·step·scale + error·reach ≥ threshold.
#define MASK(lo, hi, centre, step, reach, threshold, scale, error, mask, sum) \
	VPSRAD $4, hi, hi \
	VPADDD hi, lo, lo \
	VMOVDQU32 lo, sum \
	VCVTDQ2PS lo, lo \
	VSUBPS centre, lo, lo \
	VMULPS step, lo, lo \
	VMULPS scale, lo, lo \
	VMULPS error, reach, hi \
	VADDPS hi, lo, lo \
	VCMPPS $13, threshold, lo, K1 \
	KMOVW K1, AX \
	MOVW AX, mask

// func sketch1AVX512(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch1AVX512(SB), NOSPLIT, $0-72
	MOVQ blocks+0(FP), SI
	MOVQ groups+8(FP), R8
	MOVQ n+16(FP), CX
	MOVQ probe+24(FP), DI
	MOVQ scales+32(FP), R9
	MOVQ errors+40(FP), R10
	MOVQ p+48(FP), BX
	MOVQ masks+56(FP), DX
	MOVQ sums+64(FP), R12
	VPBROADCASTD low<>(SB), Z30
	VPBROADCASTD high<>(SB), Z31
	VBROADCASTSS 0(BX), Z24
	VBROADCASTSS 4(BX), Z25
	VBROADCASTSS 8(BX), Z26
	VBROADCASTSS 12(BX), Z27
	MOVQ R8, R11
	SHLQ $6, R11          // bytes of a block
block:
	TESTQ CX, CX
	JZ    done
	MOVQ DI, R13
	MOVQ R8, R14
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	SUBQ $2, R14
	JLT  odd
lines:
	VMOVDQU8 (SI), Z4
	VMOVDQU8 64(SI), Z5
	VPANDD Z30, Z4, Z8
	VPANDD Z31, Z4, Z9
	VPANDD Z30, Z5, Z10
	VPANDD Z31, Z5, Z11
	VPDPBUSD.BCST (R13), Z8, Z0
	VPDPBUSD.BCST 4(R13), Z9, Z1
	VPDPBUSD.BCST 8(R13), Z10, Z2
	VPDPBUSD.BCST 12(R13), Z11, Z3
	ADDQ $128, SI
	ADDQ $16, R13
	SUBQ $2, R14
	JGE  lines
odd:
	ADDQ $2, R14
	JZ   mask
	VMOVDQU8 (SI), Z4
	VPANDD Z30, Z4, Z8
	VPANDD Z31, Z4, Z9
	VPDPBUSD.BCST (R13), Z8, Z0
	VPDPBUSD.BCST 4(R13), Z9, Z1
	ADDQ $64, SI
mask:
	VPADDD Z2, Z0, Z0
	VPADDD Z3, Z1, Z1
	MASK(Z0, Z1, Z24, Z25, Z26, Z27, (R9), (R10), (DX), (R12))
	ADDQ $64, R12
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $2, DX
	DECQ CX
	JMP  block
done:
	VZEROUPPER
	RET

#define BOUND(at, q, lo, hi) \
	VBROADCASTSS (16*q+0)(BX), Z20 \
	VBROADCASTSS (16*q+4)(BX), Z21 \
	VBROADCASTSS (16*q+8)(BX), Z22 \
	VBROADCASTSS (16*q+12)(BX), Z23 \
	MASK(lo, hi, Z20, Z21, Z22, Z23, (R9), (R10), at(DX), (64*q)(R12))

// func sketch4AVX512(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch4AVX512(SB), NOSPLIT, $0-72
	MOVQ blocks+0(FP), SI
	MOVQ groups+8(FP), R8
	MOVQ n+16(FP), CX
	MOVQ probe+24(FP), DI
	MOVQ scales+32(FP), R9
	MOVQ errors+40(FP), R10
	MOVQ p+48(FP), BX
	MOVQ masks+56(FP), DX
	MOVQ sums+64(FP), R12
	VPBROADCASTD low<>(SB), Z30
	VPBROADCASTD high<>(SB), Z31
four:
	TESTQ CX, CX
	JZ    fourdone
	MOVQ DI, R13
	MOVQ R8, R14
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
fourline:
	VMOVDQU8 (SI), Z10
	VPANDD Z30, Z10, Z8
	VPANDD Z31, Z10, Z9
	VPDPBUSD.BCST 0(R13), Z8, Z0
	VPDPBUSD.BCST 4(R13), Z9, Z1
	VPDPBUSD.BCST 8(R13), Z8, Z2
	VPDPBUSD.BCST 12(R13), Z9, Z3
	VPDPBUSD.BCST 16(R13), Z8, Z4
	VPDPBUSD.BCST 20(R13), Z9, Z5
	VPDPBUSD.BCST 24(R13), Z8, Z6
	VPDPBUSD.BCST 28(R13), Z9, Z7
	ADDQ $64, SI
	ADDQ $32, R13
	DECQ R14
	JNZ  fourline
	BOUND(0, 0, Z0, Z1)
	BOUND(2, 1, Z2, Z3)
	BOUND(4, 2, Z4, Z5)
	BOUND(6, 3, Z6, Z7)
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $256, R12
	ADDQ $8, DX
	DECQ CX
	JMP  four
fourdone:
	VZEROUPPER
	RET

// func restAVX512(block *byte, groups int, probe *int8, sums *int32)
TEXT ·restAVX512(SB), NOSPLIT, $0-32
	MOVQ block+0(FP), SI
	MOVQ groups+8(FP), R14
	MOVQ probe+16(FP), R13
	MOVQ sums+24(FP), DX
	VPBROADCASTD low<>(SB), Z30
	VPBROADCASTD high<>(SB), Z31
	VMOVDQU32 (DX), Z0
	VPSLLD $4, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	SUBQ $2, R14
	JLT  lastline
twolines:
	VMOVDQU8 (SI), Z4
	VMOVDQU8 64(SI), Z5
	VPANDD Z30, Z4, Z8
	VPANDD Z31, Z4, Z9
	VPANDD Z30, Z5, Z10
	VPANDD Z31, Z5, Z11
	VPDPBUSD.BCST (R13), Z8, Z0
	VPDPBUSD.BCST 4(R13), Z9, Z1
	VPDPBUSD.BCST 8(R13), Z10, Z2
	VPDPBUSD.BCST 12(R13), Z11, Z3
	ADDQ $128, SI
	ADDQ $16, R13
	SUBQ $2, R14
	JGE  twolines
lastline:
	ADDQ $2, R14
	JZ   whole
	VMOVDQU8 (SI), Z4
	VPANDD Z30, Z4, Z8
	VPANDD Z31, Z4, Z9
	VPDPBUSD.BCST (R13), Z8, Z0
	VPDPBUSD.BCST 4(R13), Z9, Z1
whole:
	VPADDD Z3, Z1, Z1
	VPSRAD $4, Z1, Z1
	VPADDD Z2, Z0, Z0
	VPADDD Z1, Z0, Z0
	VMOVDQU32 Z0, (DX)
	VZEROUPPER
	RET

// func dotsAVX512(rows *uintptr, n, stride int, probe *int8, out *int32)
TEXT ·dotsAVX512(SB), NOSPLIT, $0-40
	MOVQ rows+0(FP), R9
	MOVQ n+8(FP), CX
	MOVQ stride+16(FP), R8
	MOVQ probe+24(FP), DI
	MOVQ out+32(FP), DX
row:
	TESTQ CX, CX
	JZ    rowsdone
	MOVQ  (R9), R10
	MOVQ  DI, R11
	MOVQ  R8, R12
	CMPQ  CX, $2
	JLT   sum
	// The next row, wherever it lies, is on its way while this one is summed.
	MOVQ  8(R9), R13
	MOVQ  R8, R14
ahead:
	PREFETCHT0 (R13)
	ADDQ $64, R13
	SUBQ $64, R14
	JNZ  ahead
sum:
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	TESTQ $64, R12
	JZ    even
	VMOVDQU8 (R10), Z2
	VPDPBUSD (R11), Z2, Z0
	ADDQ $64, R10
	ADDQ $64, R11
	SUBQ $64, R12
	JZ   total
even:
	VMOVDQU8 (R10), Z2
	VMOVDQU8 64(R10), Z3
	VPDPBUSD (R11), Z2, Z0
	VPDPBUSD 64(R11), Z3, Z1
	ADDQ $128, R10
	ADDQ $128, R11
	SUBQ $128, R12
	JNZ  even
total:
	VPADDD Z1, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPADDD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPADDD X1, X0, X0
	VMOVD X0, (DX)
	ADDQ $8, R9
	ADDQ $4, DX
	DECQ CX
	JMP  row
rowsdone:
	VZEROUPPER
	RET
