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
