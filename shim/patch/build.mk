# patch-libc: makes the patched copy of libc. (ld_patch.c is the shim's.)
PATCH_OBJECTS := $(addprefix $(B)/obj/shim/patch/,elf_image.o instruction.o unwind.o code.o site.o \
	segment.o trampoline.o frames.o debug_frames.o shim_image.o libc_plan.o ld_table.o symbols.o output.o copy_make.o \
	copy_verify.o)
PROGRAMS += $(B)/libexec/hirsel/patch-libc

$(B)/libexec/hirsel/patch-libc: $(B)/obj/shim/patch/main.o $(PATCH_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

UNIT_LINK_patch_instruction := $(PATCH_OBJECTS)
UNIT_LINK_patch_copy := $(PATCH_OBJECTS)
UNIT_LINK_patch_run := $(PATCH_OBJECTS)
UNIT_LINK_patch_shapes := $(PATCH_OBJECTS)
UNIT_LINK_patch_ld := $(PATCH_OBJECTS) $(B)/obj/shim/patch/ld_patch.o

# What the tests run under a copy. Never with SANITIZE: they are ordinary programs.
PATCH_FIXTURES := $(addprefix $(B)/tests/fixture/,patch_shim.so patch_misc patch_cancel patch_asan)
FIXTURE_CFLAGS := $(CSTD) -Wall -Wextra -Werror -Wno-pedantic $(OPT)

FAKE_LIBC_CFLAGS := $(FIXTURE_CFLAGS) -fPIC -fasynchronous-unwind-tables \
	-shared -nostdlib -Wl,-soname,libc.so.6 -Wl,--build-id

$(B)/tests/unit/patch_run $(B)/tests/unit/patch_copy: | $(PATCH_FIXTURES)
$(B)/tests/unit/patch_shapes $(B)/tests/unit/patch_ld: | $(addprefix $(B)/tests/fixture/,patch_fake_libc.so \
	patch_fake_unpatchable.so)

$(B)/tests/fixture/patch_fake_libc.so: tests/unit/fixture/patch_fake_libc.c
	@mkdir -p $(@D)
	$(CC) $(FAKE_LIBC_CFLAGS) -o $@ $< -lgcc_s

$(B)/tests/fixture/patch_fake_unpatchable.so: tests/unit/fixture/patch_fake_libc.c
	@mkdir -p $(@D)
	$(CC) $(FAKE_LIBC_CFLAGS) -DUNPATCHABLE -o $@ $< -lgcc_s

$(B)/tests/fixture/patch_shim.so: tests/unit/fixture/patch_shim.c shim/patch/ld_patch.c \
		$(B)/shim/arch/x86_64/entry.o tests/unit/fixture/patch_shim.h shim/patch/ld_patch.h \
		shim/patch/copy.h shim/shim.ld
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(SHIM_CFLAGS) $(SHIM_LDFLAGS) -o $@ $(filter %.c %.o,$^)

$(B)/tests/fixture/patch_misc: tests/unit/fixture/patch_misc.c tests/unit/fixture/patch_shim.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(FIXTURE_CFLAGS) -pthread -o $@ $<

$(B)/tests/fixture/patch_asan: tests/unit/fixture/patch_asan.c
	@mkdir -p $(@D)
	$(CC) $(FIXTURE_CFLAGS) -fsanitize=address -Wno-use-after-free -o $@ $<

$(B)/tests/fixture/patch_cancel: tests/unit/fixture/patch_cancel.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -Werror $(OPT) -pthread -o $@ $<
