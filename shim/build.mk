# The shim: an image that patch-libc makes a part of the libc copy. It has no C library: libprotobuf-c's
# archive goes into it; what that needs of libc is in shim/core/text.c and shim/door/support.c.
SHIM := $(B)/lib/hirsel/shim.so
PROGRAMS += $(SHIM)

SHIM_CFLAGS := $(CSTD) $(WARN) $(OPT) -fPIC -ffreestanding -fno-stack-protector -fvisibility=hidden \
	-fno-tree-loop-distribute-patterns -fasynchronous-unwind-tables -mgeneral-regs-only \
	-fno-builtin -U_FORTIFY_SOURCE
SHIM_SOURCES := $(wildcard shim/core/*.c shim/door/*.c) shim/patch/ld_patch.c
SHIM_OBJECTS := $(SHIM_SOURCES:%.c=$(B)/shim/%.o) $(B)/shim/arch/x86_64/entry.o \
	$(B)/shim/proto/node.pb-c.o

$(B)/shim/%.o: %.c | $(B)/include/.protos
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/shim/arch/x86_64/entry.o: shim/arch/x86_64/entry.S shim/core/calls.h
	@mkdir -p $(@D)
	$(CC) -DCALL_TABLE_SIZE=512 -c -o $@ $<

$(B)/shim/proto/node.pb-c.o: $(B)/include/proto/node.pb-c.c
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(OPT) -fPIC -w -fno-stack-protector -fvisibility=hidden -DNDEBUG -U_FORTIFY_SOURCE \
		-I$(B)/include/proto -c -o $@ $<

# Its symbols stay for debuggers; nothing of them is loaded.
SHIM_LDFLAGS := -shared -nostdlib -Wl,-T,shim/shim.ld -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,norelro \
	-Wl,--build-id -Wl,--eh-frame-hdr -Wl,--gc-sections -Wl,--exclude-libs,ALL

$(SHIM): $(SHIM_OBJECTS) shim/shim.ld
	@mkdir -p $(@D)
	$(CC) $(SHIM_LDFLAGS) -o $@ $(SHIM_OBJECTS) -l:libprotobuf-c.a

-include $(SHIM_OBJECTS:.o=.d)

# The core as it is in the shim, its own memcpy and all.
SHIM_CORE := $(addprefix $(B)/shim/shim/core/,table.o text.o walk.o restrict.o host.o)
UNIT_LINK_shim_table := $(filter-out %/walk.o %/restrict.o %/host.o,$(SHIM_CORE))
UNIT_LINK_shim_walk := $(SHIM_CORE)
