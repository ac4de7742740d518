#include "textflag.h"
#include "mask8_amd64.h"

// The lines of a block are described in kernel_avx512_amd64.s. Here a line is
// two registers, of rows 0 to 7 and 8 to 15.
//
// VPMADDUBSW adds two products in 16 bits: at most 2·15·127 = 3,810, so that the
// two halves of four lines, 30,480, fit before they are widened to 32.

DATA low<>+0(SB)/4, $0x0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $4
DATA ones<>+0(SB)/4, $0x00010001
GLOBL ones<>(SB), RODATA|NOPTR, $4

// func sketch1AVX2(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch1AVX2(SB), NOSPLIT, $0-72
	MOVQ blocks+0(FP), SI
	MOVQ groups+8(FP), R8
	MOVQ n+16(FP), CX
	MOVQ probe+24(FP), DI
	MOVQ scales+32(FP), R9
	MOVQ errors+40(FP), R10
	MOVQ p+48(FP), BX
	MOVQ masks+56(FP), DX
	MOVQ sums+64(FP), R15
	VPBROADCASTD low<>(SB), Y14
	VPBROADCASTD ones<>(SB), Y15
block1:
	TESTQ CX, CX
	JZ    done1
	MOVQ DI, R13
	MOVQ R8, R14
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
four1:
	MOVQ $4, R12
	CMPQ R14, R12
	CMOVQLT R14, R12
	SUBQ R12, R14
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
line1:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VPBROADCASTD (R13), Y6
	VPBROADCASTD 4(R13), Y7
	VPAND Y14, Y4, Y8
	VPAND Y14, Y5, Y9
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPAND Y14, Y4, Y4
	VPAND Y14, Y5, Y5
	VPMADDUBSW Y6, Y8, Y8
	VPMADDUBSW Y6, Y9, Y9
	VPMADDUBSW Y7, Y4, Y4
	VPMADDUBSW Y7, Y5, Y5
	VPADDW Y8, Y2, Y2
	VPADDW Y9, Y3, Y3
	VPADDW Y4, Y2, Y2
	VPADDW Y5, Y3, Y3
	ADDQ $64, SI
	ADDQ $8, R13
	DECQ R12
	JNZ  line1
	VPMADDWD Y15, Y2, Y2
	VPMADDWD Y15, Y3, Y3
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	TESTQ R14, R14
	JNZ  four1
	MASK8(Y1, 32, 0, 32(R15))
	MOVL AX, R11
	SHLL $8, R11
	MASK8(Y0, 0, 0, (R15))
	ADDQ $64, R15
	ORL  R11, AX
	MOVW AX, (DX)
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $2, DX
	DECQ CX
	JMP  block1
done1:
	VZEROUPPER
	RET

// PRODUCT adds what one line gives one of four probes.
#define PRODUCT(q, acc) \
	VPBROADCASTD (8*q)(R13), Y11 \
	VPMADDUBSW Y11, Y8, Y10 \
	VPADDW Y10, acc, acc \
	VPBROADCASTD (8*q+4)(R13), Y11 \
	VPMADDUBSW Y11, Y9, Y10 \
	VPADDW Y10, acc, acc

#define WIDEN(acc, sum) \
	VPMADDWD Y15, acc, acc \
	VPADDD acc, sum, sum

// func sketch4AVX2(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch4AVX2(SB), NOSPLIT, $0-72
	MOVQ blocks+0(FP), SI
	MOVQ groups+8(FP), R8
	MOVQ n+16(FP), CX
	MOVQ probe+24(FP), DI
	MOVQ scales+32(FP), R9
	MOVQ errors+40(FP), R10
	MOVQ p+48(FP), BX
	MOVQ masks+56(FP), DX
	MOVQ sums+64(FP), R15
	VPBROADCASTD low<>(SB), Y14
	VPBROADCASTD ones<>(SB), Y15
	SHLQ $1, CX            // halves of blocks
half4:
	TESTQ CX, CX
	JZ    done4
	MOVQ SI, R11
	MOVQ DI, R13
	MOVQ R8, R14
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
four4:
	MOVQ $4, R12
	CMPQ R14, R12
	CMOVQLT R14, R12
	SUBQ R12, R14
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
line4:
	VMOVDQU (R11), Y9
	VPAND Y14, Y9, Y8
	VPSRLW $4, Y9, Y9
	VPAND Y14, Y9, Y9
	PRODUCT(0, Y4)
	PRODUCT(1, Y5)
	PRODUCT(2, Y6)
	PRODUCT(3, Y7)
	ADDQ $64, R11
	ADDQ $32, R13
	DECQ R12
	JNZ  line4
	WIDEN(Y4, Y0)
	WIDEN(Y5, Y1)
	WIDEN(Y6, Y2)
	WIDEN(Y7, Y3)
	TESTQ R14, R14
	JNZ  four4
	MASK8(Y0, 0, 0, 0(R15))
	MOVB AX, 0(DX)
	MASK8(Y1, 0, 1, 64(R15))
	MOVB AX, 2(DX)
	MASK8(Y2, 0, 2, 128(R15))
	MOVB AX, 4(DX)
	MASK8(Y3, 0, 3, 192(R15))
	MOVB AX, 6(DX)
	ADDQ $32, R9
	ADDQ $32, R10
	DECQ CX
	TESTQ $1, CX
	JZ   whole4
	ADDQ $32, SI           // the other half of each line, the other byte of each mask
	INCQ DX
	ADDQ $32, R15
	JMP  half4
whole4:
	LEAQ -32(R11), SI
	ADDQ $7, DX
	ADDQ $224, R15
	JMP  half4
done4:
	VZEROUPPER
	RET

// func restAVX2(block *byte, groups int, probe *int8, sums *int32)
TEXT ·restAVX2(SB), NOSPLIT, $0-32
	MOVQ block+0(FP), SI
	MOVQ groups+8(FP), R14
	MOVQ probe+16(FP), R13
	MOVQ sums+24(FP), DX
	VPBROADCASTD low<>(SB), Y14
	VPBROADCASTD ones<>(SB), Y15
	VMOVDQU (DX), Y0
	VMOVDQU 32(DX), Y1
	VPSLLD $4, Y0, Y0
	VPSLLD $4, Y1, Y1
fourrest:
	MOVQ $4, R12
	CMPQ R14, R12
	CMOVQLT R14, R12
	SUBQ R12, R14
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
linerest:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VPBROADCASTD (R13), Y6
	VPBROADCASTD 4(R13), Y7
	VPAND Y14, Y4, Y8
	VPAND Y14, Y5, Y9
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPAND Y14, Y4, Y4
	VPAND Y14, Y5, Y5
	VPMADDUBSW Y6, Y8, Y8
	VPMADDUBSW Y6, Y9, Y9
	VPMADDUBSW Y7, Y4, Y4
	VPMADDUBSW Y7, Y5, Y5
	VPADDW Y8, Y2, Y2
	VPADDW Y9, Y3, Y3
	VPADDW Y4, Y2, Y2
	VPADDW Y5, Y3, Y3
	ADDQ $64, SI
	ADDQ $8, R13
	DECQ R12
	JNZ  linerest
	VPMADDWD Y15, Y2, Y2
	VPMADDWD Y15, Y3, Y3
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	TESTQ R14, R14
	JNZ  fourrest
	VMOVDQU Y0, (DX)
	VMOVDQU Y1, 32(DX)
	VZEROUPPER
	RET

// func dotsAVX2(rows *uintptr, n, stride int, probe *int8, out *int32)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-40
	MOVQ rows+0(FP), R9
	MOVQ n+8(FP), CX
	MOVQ stride+16(FP), R8
	MOVQ probe+24(FP), DI
	MOVQ out+32(FP), DX
row2:
	TESTQ CX, CX
	JZ    rowsdone2
	MOVQ  (R9), R10
	MOVQ  DI, R11
	MOVQ  R8, R12
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
sum2:
	VPMOVZXBW (R10), Y2
	VPMOVZXBW 16(R10), Y3
	VPMOVZXBW 32(R10), Y4
	VPMOVZXBW 48(R10), Y5
	VPMOVSXBW (R11), Y6
	VPMOVSXBW 16(R11), Y7
	VPMOVSXBW 32(R11), Y8
	VPMOVSXBW 48(R11), Y9
	VPMADDWD Y6, Y2, Y2
	VPMADDWD Y7, Y3, Y3
	VPMADDWD Y8, Y4, Y4
	VPMADDWD Y9, Y5, Y5
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	ADDQ $64, R10
	ADDQ $64, R11
	SUBQ $64, R12
	JNZ  sum2
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
	JMP  row2
rowsdone2:
	VZEROUPPER
	RET
