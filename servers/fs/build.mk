# fs: what is asked of the name spaces and of translators.
FS_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/fs/*.c))
PROGRAMS += $(B)/libexec/hirsel/fs

.SECONDEXPANSION:
$(B)/libexec/hirsel/fs: $(FS_OBJECTS) $$(FENCE) $$(LIFELIB) $$(NAMESLIB) $$(SERVERLIB) $$(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(NAMESLIB_LIBS) $(STATIC_LIBS)

# The namespace file is the shell's, and fs's other end.
UNIT_LINK_fs_words := $(B)/obj/shell/words.o
FUZZ_LINK_namespace_fuzz := $(B)/obj/shell/words.o
