# The common frame of the servers.
SERVERLIB := $(B)/lib/libserver.a
SERVERLIB_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/lib/*.c) fence/landlock.c)
# Linked statically: servers start faster and share less that is theirs alone anyway.
STATIC_LIBS := -Wl,-Bstatic -lprotobuf-c -lev -lseccomp -Wl,-Bdynamic -lm

$(SERVERLIB): $(SERVERLIB_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

UNIT_LINK_server_lib := $(SERVERLIB)
UNIT_LIBS_server_lib := -lseccomp
UNIT_LINK_server_journal := $(SERVERLIB)
UNIT_LIBS_server_journal := -lseccomp
