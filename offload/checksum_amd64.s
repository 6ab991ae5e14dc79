// SPDX-License-Identifier: MIT

//go:build !purego

#include "textflag.h"

// The words of the data are biased to signed ones (w ^ 0x8000 is w - 32768). Pairs of
// them are multiplied by one and added, so no carries are lost. The bias, 32768 a
// word, is added back at the end. Where data begins or ends within a block, the block
// is padded with zeros, which count as words too. Words are little-endian; the bytes
// of the sum are swapped at the end (RFC 1071 section 2 (B)).

DATA bias<>+0(SB)/4, $0x80008000
GLOBL bias<>(SB), RODATA|NOPTR, $4

DATA ones<>+0(SB)/4, $0x00010001
GLOBL ones<>(SB), RODATA|NOPTR, $4

// lastBytes has 32 bytes of zeros, 32 of ones, 32 of zeros: from byte n on it keeps
// the last n bytes of a block, from byte 64-n on the first n.
DATA lastBytes<>+32(SB)/8, $-1
DATA lastBytes<>+40(SB)/8, $-1
DATA lastBytes<>+48(SB)/8, $-1
DATA lastBytes<>+56(SB)/8, $-1
GLOBL lastBytes<>(SB), RODATA|NOPTR, $96

// REDUCE adds the eight signed 32-bit sums of Y0 to AX. They and all their sums fit
// in 32 bits: there are at most 1<<15 words, and the padding of two blocks, each of
// at most 1<<15.
#define REDUCE \
	VEXTRACTI128 $1, Y0, X1     \
	VPADDD       X1, X0, X0     \
	VPSHUFD      $0xEE, X0, X1  \
	VPADDD       X1, X0, X0     \
	VPSHUFD      $0x55, X0, X1  \
	VPADDD       X1, X0, X0     \
	VMOVD        X0, CX         \
	MOVLQSX      CX, CX         \
	ADDQ         CX, AX

// FOLD32 folds the sum in AX, of less than 33 bits, to one big-endian word. FOLD64
// does it for a sum of 64 bits whose carries were added.
#define FOLD32 \
	MOVQ AX, CX   \
	SHRQ $16, CX  \
	MOVWLZX AX, AX \
	ADDL CX, AX   \
	MOVL AX, CX   \
	SHRL $16, CX  \
	ADDW CX, AX   \
	ADCW $0, AX   \
	ROLW $8, AX

#define FOLD64 \
	MOVQ AX, CX  \
	SHRQ $32, CX \
	ADDL CX, AX  \
	ADCL $0, AX  \
	FOLD32

// func sum(b []byte, initial uint16) uint16
TEXT ·sum(SB), NOSPLIT, $0-34
	MOVQ    b_base+0(FP), SI
	MOVQ    b_len+8(FP), CX
	JMP     body<>(SB)

// func stamp(seg *byte, n int, hdr *byte, initial, hdrLen uint16) uint16
TEXT ·stamp(SB), NOSPLIT, $0-34
	MOVQ    seg+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    hdr+16(FP), DI
	MOVWLZX hdrLen+26(FP), R8
	SUBQ    R8, CX
	SUBQ    $16, R8
	XORL    DX, DX

header:
	MOVOU (DI)(DX*1), X0
	MOVOU X0, (SI)(DX*1)
	ADDQ  $16, DX
	CMPQ  DX, R8
	JB    header
	MOVOU (DI)(R8*1), X0
	MOVOU X0, (SI)(R8*1)
	LEAQ  16(SI)(R8*1), SI
	MOVQ  SI, seg+0(FP) // the arguments of sum
	MOVQ  CX, n+8(FP)
	MOVQ  CX, hdr+16(FP)
	JMP   body<>(SB)

// body is sum for the CX bytes at SI, and has the frame of sum.
TEXT body<>(SB), NOSPLIT, $0-34
	MOVWLZX initial+24(FP), AX
	ROLW    $8, AX
	CMPQ    CX, $32
	JB      few
	CMPQ    CX, $65536
	JA      other
	CMPB    ·hasVNNI(SB), $1
	JEQ     sumVNNI
	CMPB    ·hasAVX2(SB), $1
	JEQ     sumAVX2

other:
	JMP ·sumOther(SB)

few:
	TESTQ $16, CX
	JZ    eight
	ADDQ  (SI), AX
	ADCQ  8(SI), AX
	ADCQ  $0, AX
	ADDQ  $16, SI

eight:
	TESTQ $8, CX
	JZ    four
	ADDQ  (SI), AX
	ADCQ  $0, AX
	ADDQ  $8, SI

four:
	TESTQ $4, CX
	JZ    two
	MOVL  (SI), DX
	ADDQ  DX, AX
	ADCQ  $0, AX
	ADDQ  $4, SI

two:
	TESTQ   $2, CX
	JZ      one
	MOVWLZX (SI), DX
	ADDQ    DX, AX
	ADCQ    $0, AX
	ADDQ    $2, SI

one:
	TESTQ   $1, CX
	JZ      folded
	MOVBLZX (SI), DX // the low byte of its word
	ADDQ    DX, AX
	ADCQ    $0, AX

folded:
	FOLD64
	MOVW AX, ret+32(FP)
	RET

sumVNNI:
	VPBROADCASTD bias<>(SB), Z15
	VPBROADCASTD ones<>(SB), Z14
	VPXORD       Z0, Z0, Z0
	MOVQ         $-1, R9
	CMPQ         CX, $256
	JB           sumVNNIFew
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3
	MOVQ         SI, R8
	NEGQ         R8
	ANDQ         $63, R8 // up to where a cache line starts
	JZ           sumVNNICount
	TESTQ        $1, R8
	JNZ          sumVNNICount // words would be torn
	BZHIQ        R8, R9, DX
	KMOVQ        DX, K1
	VMOVDQU8.Z   (SI), K1, Z4
	VPXORD       Z15, Z4, Z4
	VPDPWSSD     Z14, Z4, Z1
	ADDQ         $1<<20, AX
	ADDQ         R8, SI
	SUBQ         R8, CX

sumVNNICount:
	LEAQ 63(CX), DX
	SHRQ $6, DX
	SHLQ $20, DX
	ADDQ DX, AX
	SUBQ $256, CX
	JB   sumVNNISum4

sumVNNILoop:
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
	JAE      sumVNNILoop

sumVNNISum4:
	VPADDD Z1, Z0, Z0
	VPADDD Z3, Z2, Z2
	VPADDD Z2, Z0, Z0
	ADDQ   $192, CX
	JC     sumVNNIBlock
	JMP    sumVNNITail // fewer than 64 left

sumVNNIFew:
	LEAQ 63(CX), DX
	SHRQ $6, DX
	SHLQ $20, DX
	ADDQ DX, AX
	SUBQ $64, CX
	JB   sumVNNITail

sumVNNIBlock:
	VPXORD   (SI), Z15, Z4
	VPDPWSSD Z14, Z4, Z0
	ADDQ     $64, SI
	SUBQ     $64, CX
	JAE      sumVNNIBlock

sumVNNITail:
	ADDQ       $64, CX
	JZ         sumVNNIDone
	BZHIQ      CX, R9, DX
	KMOVQ      DX, K1
	VMOVDQU8.Z (SI), K1, Z4
	VPXORD     Z15, Z4, Z4
	VPDPWSSD   Z14, Z4, Z0

sumVNNIDone:
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	REDUCE
	VZEROUPPER
	FOLD32
	MOVW AX, ret+32(FP)
	RET

sumAVX2:
	VPBROADCASTD bias<>(SB), Y15
	VPBROADCASTD ones<>(SB), Y14
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPXOR        Y3, Y3, Y3
	LEAQ         lastBytes<>(SB), R9
	TESTQ        $1, CX
	JZ           sumAVX2Even
	MOVBLZX      -1(SI)(CX*1), DX // the low byte of its word
	ADDQ         DX, AX
	DECQ         CX

sumAVX2Even:
	CMPQ CX, $256
	JB   sumAVX2Count
	MOVQ SI, R8
	NEGQ R8
	ANDQ $30, R8 // up to where 32 bytes are in one cache line, or nearly
	JZ   sumAVX2Count
	VMOVDQU  (SI), Y4
	MOVQ     R9, DX
	SUBQ     R8, DX
	VPAND    64(DX), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y1
	ADDQ     $1<<19, AX
	ADDQ     R8, SI
	SUBQ     R8, CX

sumAVX2Count:
	LEAQ 31(CX), DX
	SHRQ $5, DX
	SHLQ $19, DX
	ADDQ DX, AX
	SUBQ $128, CX
	JB   sumAVX2Blocks

sumAVX2Loop:
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
	JAE      sumAVX2Loop

sumAVX2Blocks:
	ADDQ $96, CX
	JNC  sumAVX2Tail // fewer than 32 left

sumAVX2Block:
	VPXOR    (SI), Y15, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y0, Y0
	ADDQ     $32, SI
	SUBQ     $32, CX
	JAE      sumAVX2Block

sumAVX2Tail:
	ADDQ     $32, CX
	JZ       sumAVX2Done
	VMOVDQU  -32(SI)(CX*1), Y4
	VPAND    (R9)(CX*1), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y1, Y1

sumAVX2Done:
	VPADDD Y1, Y0, Y0
	VPADDD Y3, Y2, Y2
	VPADDD Y2, Y0, Y0
	REDUCE
	VZEROUPPER
	FOLD32
	MOVW AX, ret+32(FP)
	RET

// func copySum(dst, src []byte, initial uint16) uint16
TEXT ·copySum(SB), NOSPLIT, $0-58
	MOVQ    dst_base+0(FP), DI
	MOVQ    src_base+24(FP), SI
	MOVQ    src_len+32(FP), CX
	MOVWLZX initial+48(FP), AX
	ROLW    $8, AX
	CMPQ    CX, $32
	JB      copyOther
	CMPQ    CX, $65536
	JA      copyOther
	CMPB    ·hasVNNI(SB), $1
	JEQ     copyVNNI
	CMPB    ·hasAVX2(SB), $1
	JEQ     copyAVX2

copyOther:
	JMP ·copySumOther(SB)

copyVNNI:
	VPBROADCASTD bias<>(SB), Z15
	VPBROADCASTD ones<>(SB), Z14
	VPXORD       Z0, Z0, Z0
	MOVQ         $-1, R9
	CMPQ         CX, $256
	JB           copyVNNIFew
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3
	MOVQ         DI, R8
	NEGQ         R8
	ANDQ         $63, R8 // up to where a cache line starts
	JZ           copyVNNICount
	TESTQ        $1, R8
	JNZ          copyVNNICount // words would be torn
	BZHIQ        R8, R9, DX
	KMOVQ        DX, K1
	VMOVDQU8.Z   (SI), K1, Z4
	VMOVDQU8     Z4, K1, (DI)
	VPXORD       Z15, Z4, Z4
	VPDPWSSD     Z14, Z4, Z1
	ADDQ         $1<<20, AX
	ADDQ         R8, SI
	ADDQ         R8, DI
	SUBQ         R8, CX

copyVNNICount:
	LEAQ 63(CX), DX
	SHRQ $6, DX
	SHLQ $20, DX
	ADDQ DX, AX
	SUBQ $256, CX
	JB   copyVNNISum4

copyVNNILoop:
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
	SUBQ     $256, CX
	JAE      copyVNNILoop

copyVNNISum4:
	VPADDD Z1, Z0, Z0
	VPADDD Z3, Z2, Z2
	VPADDD Z2, Z0, Z0
	ADDQ   $192, CX
	JC     copyVNNIBlock
	JMP    copyVNNITail // fewer than 64 left

copyVNNIFew:
	LEAQ 63(CX), DX
	SHRQ $6, DX
	SHLQ $20, DX
	ADDQ DX, AX
	SUBQ $64, CX
	JB   copyVNNITail

copyVNNIBlock:
	VMOVDQU64 (SI), Z4
	VMOVDQU64 Z4, (DI)
	VPXORD    Z15, Z4, Z4
	VPDPWSSD  Z14, Z4, Z0
	ADDQ      $64, SI
	ADDQ      $64, DI
	SUBQ     $64, CX
	JAE      copyVNNIBlock

copyVNNITail:
	ADDQ       $64, CX
	JZ         copyVNNIDone
	BZHIQ      CX, R9, DX
	KMOVQ      DX, K1
	VMOVDQU8.Z (SI), K1, Z4
	VMOVDQU8   Z4, K1, (DI)
	VPXORD     Z15, Z4, Z4
	VPDPWSSD   Z14, Z4, Z0

copyVNNIDone:
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	REDUCE
	VZEROUPPER
	FOLD32
	MOVW AX, ret+56(FP)
	RET

copyAVX2:
	VPBROADCASTD bias<>(SB), Y15
	VPBROADCASTD ones<>(SB), Y14
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPXOR        Y3, Y3, Y3
	LEAQ         lastBytes<>(SB), R9
	TESTQ        $1, CX
	JZ           copyAVX2Even
	MOVBLZX      -1(SI)(CX*1), DX // the low byte of its word
	MOVB         DX, -1(DI)(CX*1)
	ADDQ         DX, AX
	DECQ         CX

copyAVX2Even:
	CMPQ CX, $256
	JB   copyAVX2Count
	MOVQ DI, R8
	NEGQ R8
	ANDQ $30, R8 // up to where 32 bytes are in one cache line, or nearly
	JZ   copyAVX2Count
	VMOVDQU  (SI), Y4
	VMOVDQU  Y4, (DI)
	MOVQ     R9, DX
	SUBQ     R8, DX
	VPAND    64(DX), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y1
	ADDQ     $1<<19, AX
	ADDQ     R8, SI
	ADDQ     R8, DI
	SUBQ     R8, CX

copyAVX2Count:
	LEAQ 31(CX), DX
	SHRQ $5, DX
	SHLQ $19, DX
	ADDQ DX, AX
	SUBQ $128, CX
	JB   copyAVX2Blocks

copyAVX2Loop:
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
	JAE      copyAVX2Loop

copyAVX2Blocks:
	ADDQ $96, CX
	JNC  copyAVX2Tail // fewer than 32 left

copyAVX2Block:
	VMOVDQU  (SI), Y4
	VMOVDQU  Y4, (DI)
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y0, Y0
	ADDQ     $32, SI
	ADDQ     $32, DI
	SUBQ     $32, CX
	JAE      copyAVX2Block

copyAVX2Tail:
	ADDQ     $32, CX
	JZ       copyAVX2Done
	VMOVDQU  -32(SI)(CX*1), Y4
	VMOVDQU  Y4, -32(DI)(CX*1)
	VPAND    (R9)(CX*1), Y4, Y4
	VPXOR    Y15, Y4, Y4
	VPMADDWD Y14, Y4, Y4
	VPADDD   Y4, Y1, Y1

copyAVX2Done:
	VPADDD Y1, Y0, Y0
	VPADDD Y3, Y2, Y2
	VPADDD Y2, Y0, Y0
	REDUCE
	VZEROUPPER
	FOLD32
	MOVW AX, ret+56(FP)
	RET
