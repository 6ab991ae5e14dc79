//go:build !purego

#include "textflag.h"

// The words of the data are biased to signed ones (w ^ 0x8000 is w - 32768), of
// which pairs are multiplied by one and added: no carries are lost, and what the
// bias took is added at the end, 32768 a word. Data that ends within a block is
// padded with zeros, which are words too.

DATA bias<>+0(SB)/4, $0x80008000
GLOBL bias<>(SB), RODATA|NOPTR, $4

DATA ones<>+0(SB)/4, $0x00010001
GLOBL ones<>(SB), RODATA|NOPTR, $4

// 32 bytes of zeros, then 32 of ones: from byte n on it keeps the last n bytes of
// a block.
DATA lastBytes<>+0(SB)/8, $0
DATA lastBytes<>+8(SB)/8, $0
DATA lastBytes<>+16(SB)/8, $0
DATA lastBytes<>+24(SB)/8, $0
DATA lastBytes<>+32(SB)/8, $-1
DATA lastBytes<>+40(SB)/8, $-1
DATA lastBytes<>+48(SB)/8, $-1
DATA lastBytes<>+56(SB)/8, $-1
GLOBL lastBytes<>(SB), RODATA|NOPTR, $64

// REDUCE adds the eight signed 32-bit sums of Y0 to AX.
#define REDUCE \
	VEXTRACTI128 $1, Y0, X1 \
	VPMOVSXDQ    X0, Y0     \
	VPMOVSXDQ    X1, Y1     \
	VPADDQ       Y1, Y0, Y0 \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDQ       X1, X0, X0 \
	VPEXTRQ      $1, X0, DX \
	VMOVQ        X0, CX     \
	ADDQ         CX, AX     \
	ADDQ         DX, AX

// func sumAVX2(p *byte, n int) uint64
// n is even and at least 32.
TEXT ·sumAVX2(SB), NOSPLIT, $0-24
	MOVQ         p+0(FP), SI
	MOVQ         n+8(FP), CX
	VPBROADCASTD bias<>(SB), Y15
	VPBROADCASTD ones<>(SB), Y14
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPXOR        Y3, Y3, Y3
	LEAQ         31(CX), AX
	SHRQ         $5, AX
	SHLQ         $19, AX
	SUBQ         $128, CX
	JB           blocks

loop:
	VPXOR    (SI), Y15, Y4
	VPXOR    32(SI), Y15, Y5
	VPXOR    64(SI), Y15, Y6
	VPXOR    96(SI), Y15, Y7
	VPMADDWD Y14, Y4, Y4
	VPMADDWD Y14, Y5, Y5
	VPMADDWD Y14, Y6, Y6
	VPMADDWD Y14, Y7, Y7
	VPADDD   Y4, Y0, Y0
	VPADDD   Y5, Y1, Y1
	VPADDD   Y6, Y2, Y2
	VPADDD   Y7, Y3, Y3
	ADDQ     $128, SI
	SUBQ     $128, CX
	JAE      loop

blocks:
	ADDQ $96, CX
	JNC  tail    // fewer than 32 left

block:
	VPXOR    (SI), Y15, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y0, Y0
	ADDQ     $32, SI
	SUBQ     $32, CX
	JAE      block

tail:
	ADDQ     $32, CX
	JZ       done
	LEAQ     lastBytes<>(SB), DX
	VMOVDQU  -32(SI)(CX*1), Y4
	VPAND    (DX)(CX*1), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y1, Y1

done:
	VPADDD Y1, Y0, Y0
	VPADDD Y3, Y2, Y2
	VPADDD Y2, Y0, Y0
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func copySumAVX2(dst, src *byte, n int) uint64
// n is even and at least 32.
TEXT ·copySumAVX2(SB), NOSPLIT, $0-32
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD bias<>(SB), Y15
	VPBROADCASTD ones<>(SB), Y14
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPXOR        Y3, Y3, Y3
	LEAQ         31(CX), AX
	SHRQ         $5, AX
	SHLQ         $19, AX
	SUBQ         $128, CX
	JB           copyBlocks

copyLoop:
	VMOVDQU  (SI), Y4
	VMOVDQU  32(SI), Y5
	VMOVDQU  64(SI), Y6
	VMOVDQU  96(SI), Y7
	VMOVDQU  Y4, (DI)
	VMOVDQU  Y5, 32(DI)
	VMOVDQU  Y6, 64(DI)
	VMOVDQU  Y7, 96(DI)
	VPXOR    Y15, Y4, Y4
	VPXOR    Y15, Y5, Y5
	VPXOR    Y15, Y6, Y6
	VPXOR    Y15, Y7, Y7
	VPMADDWD Y14, Y4, Y4
	VPMADDWD Y14, Y5, Y5
	VPMADDWD Y14, Y6, Y6
	VPMADDWD Y14, Y7, Y7
	VPADDD   Y4, Y0, Y0
	VPADDD   Y5, Y1, Y1
	VPADDD   Y6, Y2, Y2
	VPADDD   Y7, Y3, Y3
	ADDQ     $128, SI
	ADDQ     $128, DI
	SUBQ     $128, CX
	JAE      copyLoop

copyBlocks:
	ADDQ $96, CX
	JNC  copyTail

copyBlock:
	VMOVDQU  (SI), Y4
	VMOVDQU  Y4, (DI)
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y0, Y0
	ADDQ     $32, SI
	ADDQ     $32, DI
	SUBQ     $32, CX
	JAE      copyBlock

copyTail:
	ADDQ     $32, CX
	JZ       copyDone
	LEAQ     lastBytes<>(SB), DX
	VMOVDQU  -32(SI)(CX*1), Y4
	VMOVDQU  Y4, -32(DI)(CX*1)
	VPAND    (DX)(CX*1), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y1, Y1

copyDone:
	VPADDD Y1, Y0, Y0
	VPADDD Y3, Y2, Y2
	VPADDD Y2, Y0, Y0
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func sumVNNI(p *byte, n int) uint64
// n is at least 1.
TEXT ·sumVNNI(SB), NOSPLIT, $0-24
	MOVQ         p+0(FP), SI
	MOVQ         n+8(FP), CX
	VPBROADCASTD bias<>(SB), Z15
	VPBROADCASTD ones<>(SB), Z14
	VPXORD       Z0, Z0, Z0
	LEAQ         63(CX), AX
	SHRQ         $6, AX
	SHLQ         $20, AX
	SUBQ         $256, CX
	JB           vnniBlocks
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3

vnniLoop:
	VPXORD   (SI), Z15, Z4
	VPXORD   64(SI), Z15, Z5
	VPXORD   128(SI), Z15, Z6
	VPXORD   192(SI), Z15, Z7
	VPDPWSSD Z14, Z4, Z0
	VPDPWSSD Z14, Z5, Z1
	VPDPWSSD Z14, Z6, Z2
	VPDPWSSD Z14, Z7, Z3
	ADDQ     $256, SI
	SUBQ     $256, CX
	JAE      vnniLoop
	VPADDD   Z1, Z0, Z0
	VPADDD   Z3, Z2, Z2
	VPADDD   Z2, Z0, Z0

vnniBlocks:
	ADDQ $192, CX
	JNC  vnniTail

vnniBlock:
	VPXORD   (SI), Z15, Z4
	VPDPWSSD Z14, Z4, Z0
	ADDQ     $64, SI
	SUBQ     $64, CX
	JAE      vnniBlock

vnniTail:
	ADDQ       $64, CX
	JZ         vnniDone
	MOVQ       $-1, DX
	BZHIQ      CX, DX, DX
	KMOVQ      DX, K1
	VMOVDQU8.Z (SI), K1, Z4
	VPXORD     Z15, Z4, Z4
	VPDPWSSD   Z14, Z4, Z0

vnniDone:
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func copySumVNNI(dst, src *byte, n int) uint64
// n is at least 1.
TEXT ·copySumVNNI(SB), NOSPLIT, $0-32
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD bias<>(SB), Z15
	VPBROADCASTD ones<>(SB), Z14
	VPXORD       Z0, Z0, Z0
	LEAQ         63(CX), AX
	SHRQ         $6, AX
	SHLQ         $20, AX
	SUBQ         $256, CX
	JB           vnniCopyBlocks
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3

vnniCopyLoop:
	VMOVDQU64 (SI), Z4
	VMOVDQU64 64(SI), Z5
	VMOVDQU64 128(SI), Z6
	VMOVDQU64 192(SI), Z7
	VMOVDQU64 Z4, (DI)
	VMOVDQU64 Z5, 64(DI)
	VMOVDQU64 Z6, 128(DI)
	VMOVDQU64 Z7, 192(DI)
	VPXORD    Z15, Z4, Z4
	VPXORD    Z15, Z5, Z5
	VPXORD    Z15, Z6, Z6
	VPXORD    Z15, Z7, Z7
	VPDPWSSD  Z14, Z4, Z0
	VPDPWSSD  Z14, Z5, Z1
	VPDPWSSD  Z14, Z6, Z2
	VPDPWSSD  Z14, Z7, Z3
	ADDQ      $256, SI
	ADDQ      $256, DI
	SUBQ      $256, CX
	JAE       vnniCopyLoop
	VPADDD    Z1, Z0, Z0
	VPADDD    Z3, Z2, Z2
	VPADDD    Z2, Z0, Z0

vnniCopyBlocks:
	ADDQ $192, CX
	JNC  vnniCopyTail

vnniCopyBlock:
	VMOVDQU64 (SI), Z4
	VMOVDQU64 Z4, (DI)
	VPXORD    Z15, Z4, Z4
	VPDPWSSD  Z14, Z4, Z0
	ADDQ      $64, SI
	ADDQ      $64, DI
	SUBQ      $64, CX
	JAE       vnniCopyBlock

vnniCopyTail:
	ADDQ       $64, CX
	JZ         vnniCopyDone
	MOVQ       $-1, DX
	BZHIQ      CX, DX, DX
	KMOVQ      DX, K1
	VMOVDQU8.Z (SI), K1, Z4
	VMOVDQU8   Z4, K1, (DI)
	VPXORD     Z15, Z4, Z4
	VPDPWSSD   Z14, Z4, Z0

vnniCopyDone:
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
