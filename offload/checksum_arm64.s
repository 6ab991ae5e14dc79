// SPDX-License-Identifier: MIT

//go:build !purego

#include "textflag.h"

// UADALP adds the eight words of a register, in pairs, to four 32-bit sums. The
// assembler does not have it.
#define UADALP(n, d) WORD $(0x6E606800 | (n)<<5 | (d))

// func sumNEON(p *byte, n int) uint64
// n is a multiple of 16 and at least 16.
TEXT ·sumNEON(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	SUBS $64, R1
	BLT  blocks

loop:
	VLD1.P 64(R0), [V4.B16, V5.B16, V6.B16, V7.B16]
	UADALP(4, 0)
	UADALP(5, 1)
	UADALP(6, 2)
	UADALP(7, 3)
	SUBS   $64, R1
	BGE    loop

blocks:
	ADDS $48, R1
	BLT  done

block:
	VLD1.P 16(R0), [V4.B16]
	UADALP(4, 0)
	SUBS   $16, R1
	BGE    block

done:
	VUADDLV V0.S4, V0
	VUADDLV V1.S4, V1
	VUADDLV V2.S4, V2
	VUADDLV V3.S4, V3
	VADD    V1.D2, V0.D2, V0.D2
	VADD    V3.D2, V2.D2, V2.D2
	VADD    V2.D2, V0.D2, V0.D2
	VMOV    V0.D[0], R2
	MOVD    R2, ret+16(FP)
	RET

// func copySumNEON(dst, src *byte, n int) uint64
// n is a multiple of 16 and at least 16.
TEXT ·copySumNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R3
	MOVD src+8(FP), R0
	MOVD n+16(FP), R1
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	SUBS $64, R1
	BLT  copyBlocks

copyLoop:
	VLD1.P 64(R0), [V4.B16, V5.B16, V6.B16, V7.B16]
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R3)
	UADALP(4, 0)
	UADALP(5, 1)
	UADALP(6, 2)
	UADALP(7, 3)
	SUBS   $64, R1
	BGE    copyLoop

copyBlocks:
	ADDS $48, R1
	BLT  copyDone

copyBlock:
	VLD1.P 16(R0), [V4.B16]
	VST1.P [V4.B16], 16(R3)
	UADALP(4, 0)
	SUBS   $16, R1
	BGE    copyBlock

copyDone:
	VUADDLV V0.S4, V0
	VUADDLV V1.S4, V1
	VUADDLV V2.S4, V2
	VUADDLV V3.S4, V3
	VADD    V1.D2, V0.D2, V0.D2
	VADD    V3.D2, V2.D2, V2.D2
	VADD    V2.D2, V0.D2, V0.D2
	VMOV    V0.D[0], R2
	MOVD    R2, ret+24(FP)
	RET
