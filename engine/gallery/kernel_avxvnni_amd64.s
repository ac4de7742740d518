#include "textflag.h"
#include "mask8_amd64.h"

// As kernel_avx2_amd64.s, with VPDPBUSD in its VEX form, which Go's assembler
// does not know: VEX.256.66.0F38.W0 50 /r (Intel SDM, volume 2). The probe's
// register is Y(8+probe), the sum's one of Y0 to Y7.
#define VPDPBUSDVEX(probe, row, sum) \
	BYTE $0xc4; BYTE $0xc2; BYTE $(((15-row)<<3)|5); BYTE $0x50; BYTE $(0xc0|(sum<<3)|probe)

DATA low<>+0(SB)/4, $0x0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $4

// func sketch1AVXVNNI(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch1AVXVNNI(SB), NOSPLIT, $0-72
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
block1:
	TESTQ CX, CX
	JZ    done1
	MOVQ DI, R13
	MOVQ R8, R14
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
line1:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VPBROADCASTD (R13), Y8
	VPBROADCASTD 4(R13), Y9
	VPAND Y14, Y4, Y6
	VPAND Y14, Y5, Y7
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPAND Y14, Y4, Y4
	VPAND Y14, Y5, Y5
	VPDPBUSDVEX(0, 6, 0)
	VPDPBUSDVEX(0, 7, 1)
	VPDPBUSDVEX(1, 4, 2)
	VPDPBUSDVEX(1, 5, 3)
	ADDQ $64, SI
	ADDQ $8, R13
	DECQ R14
	JNZ  line1
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
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

// func sketch4AVXVNNI(blocks *byte, groups, n int, probe *int8, scales, errors *float32, p *bound, masks *uint16, sums *int32)
TEXT ·sketch4AVXVNNI(SB), NOSPLIT, $0-72
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
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
line4:
	VMOVDQU (R11), Y13
	VPAND Y14, Y13, Y12
	VPSRLW $4, Y13, Y13
	VPAND Y14, Y13, Y13
	VPBROADCASTD 0(R13), Y8
	VPBROADCASTD 4(R13), Y9
	VPBROADCASTD 8(R13), Y10
	VPBROADCASTD 12(R13), Y11
	VPDPBUSDVEX(0, 12, 0)
	VPDPBUSDVEX(1, 13, 4)
	VPDPBUSDVEX(2, 12, 1)
	VPDPBUSDVEX(3, 13, 5)
	VPBROADCASTD 16(R13), Y8
	VPBROADCASTD 20(R13), Y9
	VPBROADCASTD 24(R13), Y10
	VPBROADCASTD 28(R13), Y11
	VPDPBUSDVEX(0, 12, 2)
	VPDPBUSDVEX(1, 13, 6)
	VPDPBUSDVEX(2, 12, 3)
	VPDPBUSDVEX(3, 13, 7)
	ADDQ $64, R11
	ADDQ $32, R13
	DECQ R14
	JNZ  line4
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
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

// func restAVXVNNI(block *byte, groups int, probe *int8, sums *int32)
TEXT ·restAVXVNNI(SB), NOSPLIT, $0-32
	MOVQ block+0(FP), SI
	MOVQ groups+8(FP), R14
	MOVQ probe+16(FP), R13
	MOVQ sums+24(FP), DX
	VPBROADCASTD low<>(SB), Y14
	VMOVDQU (DX), Y0
	VMOVDQU 32(DX), Y1
	VPSLLD $4, Y0, Y0
	VPSLLD $4, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
linerest:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VPBROADCASTD (R13), Y8
	VPBROADCASTD 4(R13), Y9
	VPAND Y14, Y4, Y6
	VPAND Y14, Y5, Y7
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPAND Y14, Y4, Y4
	VPAND Y14, Y5, Y5
	VPDPBUSDVEX(0, 6, 0)
	VPDPBUSDVEX(0, 7, 1)
	VPDPBUSDVEX(1, 4, 2)
	VPDPBUSDVEX(1, 5, 3)
	ADDQ $64, SI
	ADDQ $8, R13
	DECQ R14
	JNZ  linerest
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	VMOVDQU Y0, (DX)
	VMOVDQU Y1, 32(DX)
	VZEROUPPER
	RET

// func dotsAVXVNNI(rows *uintptr, n, stride int, probe *int8, out *int32)
TEXT ·dotsAVXVNNI(SB), NOSPLIT, $0-40
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
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
sum:
	VMOVDQU (R10), Y2
	VMOVDQU 32(R10), Y3
	VMOVDQU (R11), Y8
	VMOVDQU 32(R11), Y9
	VPDPBUSDVEX(0, 2, 0)
	VPDPBUSDVEX(1, 3, 1)
	ADDQ $64, R10
	ADDQ $64, R11
	SUBQ $64, R12
	JNZ  sum
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
