# patch-libc: makes the patched copy of libc.
PATCH_OBJECTS := $(addprefix $(B)/obj/shim/patch/,elf_image.o instruction.o unwind.o code.o site.o \
	segment.o trampoline.o frames.o libc_plan.o ld_table.o symbols.o output.o copy_make.o \
	copy_verify.o)
PROGRAMS += $(B)/libexec/hirsel/patch-libc

$(B)/libexec/hirsel/patch-libc: $(B)/obj/shim/patch/main.o $(PATCH_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

UNIT_LINK_patch_instruction := $(PATCH_OBJECTS)
UNIT_LINK_patch_copy := $(PATCH_OBJECTS)
