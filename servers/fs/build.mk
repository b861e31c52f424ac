# fs: name spaces and the life of translators.
FS_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/fs/*.c))
# All but main: what the unit tests link.
FS_PARTS := $(filter-out %/main.o,$(FS_OBJECTS))
FS_LIBS := -Wl,-Bstatic -lnettle -Wl,-Bdynamic
PROGRAMS += $(B)/libexec/hirsel/fs

.SECONDEXPANSION:
$(B)/libexec/hirsel/fs: $(FS_OBJECTS) $$(SERVERLIB) $$(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(FS_LIBS) $(STATIC_LIBS)

FS_UNITS := fs_table fs_record fs_journal fs_walk
$(foreach unit,$(FS_UNITS),$(eval UNIT_LINK_$(unit) = $$(FS_PARTS) $$(SERVERLIB)))
$(foreach unit,$(FS_UNITS),$(eval UNIT_LIBS_$(unit) = $$(FS_LIBS) -lseccomp))
# The namespace file is the shell's, and fs's other end.
UNIT_LINK_fs_words := $(B)/obj/shell/words.o
FUZZ_LINK_namespace_fuzz := $(B)/obj/shell/words.o
