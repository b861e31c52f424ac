#include "shim/patch/instruction.h"

#include <stdbool.h>
#include <string.h>

/* What follows an opcode:
 *   .  nothing              m  ModRM                b  8-bit immediate      w  16-bit immediate
 *   z  32-bit immediate (16 with the operand-size prefix)                   e  enter's three bytes
 *   v  as z, but 64-bit with REX.W                  B Z  ModRM, then as b z
 *   j  8-bit displacement   J  32-bit displacement  o  address (of 8 bytes, or 4 with 0x67)
 *   t T  ModRM, then as b z if its reg field is 0 or 1
 *   p  prefix, r  REX, V  VEX and EVEX, 2  the two-byte map, x  no instruction in 64-bit mode */
static const char one_byte[] = "mmmmbzxxmmmmbzx2" /* 00 */
                               "mmmmbzxxmmmmbzxx"
                               "mmmmbzpxmmmmbzpx"
                               "mmmmbzpxmmmmbzpx"
                               "rrrrrrrrrrrrrrrr" /* 40 */
                               "................"
                               "xxVmppppzZbB...."
                               "jjjjjjjjjjjjjjjj"
                               "BZxBmmmmmmmmmmmm" /* 80 */
                               "..........x....."
                               "oooo....bz......"
                               "bbbbbbbbvvvvvvvv"
                               "BBw.VVBZe.w..bx." /* c0 */
                               "mmmmxxx.mmmmmmmm"
                               "jjjjbbbbJJxj...."
                               "p.pp..tT......mm";

/* Behind 0f. 8 and A: the three-byte maps. The b of 20 to 23: a ModRM that is always registers. */
static const char two_byte[] = "mmmmx.....x.xm.B" /* 00 */
                               "mmmmmmmmmmmmmmmm"
                               "bbbbxxxxmmmmmmmm"
                               "......x.8xAxxxxx"
                               "mmmmmmmmmmmmmmmm" /* 40 */
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "BBBBmmm.mmxxmmmm"
                               "JJJJJJJJJJJJJJJJ" /* 80 */
                               "mmmmmmmmmmmmmmmm"
                               "...mBmmm...mBmmm"
                               "mmmmmmmmmmBmmmmm"
                               "mmBmBBBm........" /* c0 */
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm";

_Static_assert(sizeof one_byte == 257 && sizeof two_byte == 257, "a letter for each opcode");

enum map { MAP_ONE, MAP_TWO, MAP_OTHER };

struct decoder {
    uint8_t bytes[INSTRUCTION_LONGEST + 16]; /* zeros behind what there is */
    size_t at;
    bool operand16, address32, repeat_not;
    uint8_t rex;
    enum map map;
    uint8_t opcode;
    char form;
    uint8_t modrm;
    struct instruction *out;
};

static void read_prefixes(struct decoder *decoder)
{
    for (; decoder->at < INSTRUCTION_LONGEST; decoder->at++) {
        uint8_t byte = decoder->bytes[decoder->at];
        if (one_byte[byte] == 'p') {
            decoder->operand16 |= byte == 0x66;
            decoder->address32 |= byte == 0x67;
            decoder->repeat_not |= byte == 0xf2;
            decoder->rex = 0;
        } else if (one_byte[byte] == 'r') {
            decoder->rex = byte; /* void if another prefix follows */
        } else {
            return;
        }
    }
}

/* VEX, EVEX and XOP: the map is a field of the prefix; all have ModRM but vzeroupper. */
static bool read_vector(struct decoder *decoder)
{
    const uint8_t *prefix = decoder->bytes + decoder->at;
    unsigned map = 1;
    switch (decoder->opcode) {
    case 0xc5:
        decoder->at += 1;
        break;
    case 0x62:
        map = prefix[0] & 7;
        decoder->at += 3;
        break;
    default:
        map = prefix[0] & 0x1f;
        decoder->at += 2;
    }
    uint8_t opcode = decoder->bytes[decoder->at++];
    decoder->map = MAP_OTHER;
    decoder->form = 'm';
    switch (map) {
    case 1:
        if (opcode == 0x77)
            decoder->form = '.';
        else if (two_byte[opcode] == 'B')
            decoder->form = 'B';
        return true;
    case 2:
        return true;
    case 3:
        decoder->form = 'B';
        return true;
    case 5:
    case 6:
        return decoder->opcode == 0x62;
    case 8:
        decoder->form = 'B';
        return decoder->opcode == 0x8f;
    case 9:
        return decoder->opcode == 0x8f;
    case 10:
        decoder->form = 'Z';
        decoder->operand16 = false;
        return decoder->opcode == 0x8f;
    default:
        return false;
    }
}

static bool read_opcode(struct decoder *decoder)
{
    decoder->opcode = decoder->bytes[decoder->at++];
    decoder->form = one_byte[decoder->opcode];
    decoder->map = MAP_ONE;
    if (decoder->form == 'V')
        return read_vector(decoder);
    /* pop's other forms are AMD's XOP. */
    if (decoder->opcode == 0x8f) {
        if ((decoder->bytes[decoder->at] & 0x1f) >= 8)
            return read_vector(decoder);
        decoder->form = 'm';
    }
    if (decoder->form == '2') {
        decoder->opcode = decoder->bytes[decoder->at++];
        decoder->form = two_byte[decoder->opcode];
        decoder->map = MAP_TWO;
        /* extrq and insertq carry two bytes where vmread carries none. */
        if (decoder->opcode == 0x78 && (decoder->operand16 || decoder->repeat_not))
            decoder->form = 'W';
        if (decoder->form == '8' || decoder->form == 'A') {
            decoder->form = decoder->form == '8' ? 'm' : 'B';
            decoder->at++;
            decoder->map = MAP_OTHER;
        }
    }
    return decoder->form != 'x';
}

static void read_modrm(struct decoder *decoder)
{
    uint8_t modrm = decoder->bytes[decoder->at++];
    unsigned mode = modrm >> 6, base = modrm & 7;
    size_t displacement = mode == 1 ? 1 : mode == 2 ? 4 : 0;
    decoder->modrm = modrm;
    if (mode == 3)
        return;
    if (base == 4) {
        uint8_t scale = decoder->bytes[decoder->at++];
        if (mode == 0 && (scale & 7) == 5)
            displacement = 4;
    } else if (mode == 0 && base == 5) {
        displacement = 4;
        decoder->out->flags |= INSTRUCTION_RELATIVE;
        decoder->out->displacement = (uint8_t)decoder->at;
    }
    decoder->at += displacement;
}

static bool has_modrm(char form)
{
    switch (form) {
    case 'm':
    case 'B':
    case 'Z':
    case 't':
    case 'T':
    case 'W':
        return true;
    default:
        return false;
    }
}

static size_t immediate_size(const struct decoder *decoder)
{
    size_t full = decoder->operand16 && !(decoder->rex & 8) ? 2 : 4;
    bool test = ((decoder->modrm >> 3) & 7) < 2;
    switch (decoder->form) {
    case 'b':
    case 'B':
    case 'j':
        return 1;
    case 'w':
    case 'W':
        return 2;
    case 'e':
        return 3;
    case 'z':
    case 'Z':
        return full;
    case 'v':
        return decoder->rex & 8 ? 8 : full;
    case 'J':
        return 4;
    case 'o':
        return decoder->address32 ? 4 : 8;
    case 't':
        return test ? 1 : 0;
    case 'T':
        return test ? full : 0;
    default:
        return 0;
    }
}

/* Opcodes whose reg field says which instruction it is, not which register. */
static bool is_group(uint8_t opcode)
{
    return (opcode >= 0x80 && opcode <= 0x83) || opcode == 0x8f || opcode == 0xc0 ||
           opcode == 0xc1 || opcode == 0xc6 || opcode == 0xc7 ||
           (opcode >= 0xd0 && opcode <= 0xdf) || opcode == 0xf6 || opcode == 0xf7 ||
           opcode == 0xfe || opcode == 0xff;
}

/* Any instruction with rsp for an operand counts, whether it reads or writes it. */
static bool touches_stack(const struct decoder *decoder)
{
    uint8_t opcode = decoder->opcode, modrm = decoder->modrm;
    if (decoder->map == MAP_OTHER)
        return false;
    if (has_modrm(decoder->form)) {
        if ((modrm >> 6) == 3 && (modrm & 7) == 4 && !(decoder->rex & 1))
            return true;
        if (((modrm >> 3) & 7) == 4 && !(decoder->rex & 4) &&
            !(decoder->map == MAP_ONE && is_group(opcode)))
            return true;
    }
    if (decoder->map == MAP_TWO)
        return opcode == 0xa0 || opcode == 0xa1 || opcode == 0xa8 || opcode == 0xa9 ||
               (opcode == 0xcc && !(decoder->rex & 1));
    if (opcode == 0xff)
        return ((modrm >> 3) & 7) == 6;
    if ((opcode == 0x94 || opcode == 0xb4 || opcode == 0xbc) && !(decoder->rex & 1))
        return true;
    return (opcode >= 0x50 && opcode <= 0x5f) || opcode == 0x68 || opcode == 0x6a ||
           opcode == 0x8f || opcode == 0x9c || opcode == 0x9d || opcode == 0xc8 || opcode == 0xc9;
}

static bool transfers(const struct decoder *decoder)
{
    uint8_t opcode = decoder->opcode;
    unsigned group = (decoder->modrm >> 3) & 7;
    if (decoder->map == MAP_TWO)
        return opcode == 0x05 || opcode == 0x07 || opcode == 0x0b || opcode == 0x34 ||
               opcode == 0x35 || opcode == 0xb9 || opcode == 0xff;
    if (decoder->map == MAP_OTHER)
        return false;
    return opcode == 0xc2 || opcode == 0xc3 || (opcode >= 0xca && opcode <= 0xcf) ||
           opcode == 0xf1 || opcode == 0xf4 || (opcode == 0xff && group >= 2 && group <= 5);
}

static int64_t read_signed(const uint8_t *bytes, size_t size)
{
    int32_t value;
    if (size == 1)
        return (int8_t)bytes[0];
    memcpy(&value, bytes, sizeof value);
    return value;
}

size_t instruction_decode(const uint8_t *bytes, size_t size, uint64_t address,
                          struct instruction *instruction)
{
    struct decoder decoder = {.out = instruction};
    if (size > INSTRUCTION_LONGEST)
        size = INSTRUCTION_LONGEST;
    memset(instruction, 0, sizeof *instruction);
    memcpy(decoder.bytes, bytes, size);
    read_prefixes(&decoder);
    if (decoder.at >= size || !read_opcode(&decoder))
        return 0;
    if (has_modrm(decoder.form))
        read_modrm(&decoder);
    size_t tail = immediate_size(&decoder);
    size_t operand = decoder.at;
    size_t length = operand + tail;
    if (length > size)
        return 0;
    instruction->length = (uint8_t)length;
    if (instruction->flags & INSTRUCTION_RELATIVE) {
        int64_t offset = read_signed(decoder.bytes + instruction->displacement, 4);
        instruction->target = address + length + (uint64_t)offset;
        if (decoder.map == MAP_ONE && decoder.opcode == 0x8d)
            instruction->flags |= INSTRUCTION_ADDRESS;
    }
    /* xbegin names where an abort goes on as a jump does. */
    bool transaction = decoder.map == MAP_ONE && decoder.opcode == 0xc7 && decoder.modrm == 0xf8;
    if (decoder.form == 'j' || decoder.form == 'J' || (transaction && tail == 4)) {
        instruction->flags |= INSTRUCTION_BRANCH | INSTRUCTION_TRANSFER;
        instruction->target =
            address + length + (uint64_t)read_signed(decoder.bytes + operand, tail);
    }
    if (decoder.map == MAP_TWO && decoder.opcode == 0x05)
        instruction->flags |= INSTRUCTION_SYSCALL;
    if (transfers(&decoder))
        instruction->flags |= INSTRUCTION_TRANSFER;
    if (touches_stack(&decoder))
        instruction->flags |= INSTRUCTION_STACK;
    return length;
}
