# hirsel: the user's way in, and what it starts.
SHELL_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out shell/enter.c shell/linker.c,$(wildcard shell/*.c)))
SHELL_LIBS := $(STATIC_LIBS) -ljansson
PROGRAMS += $(B)/bin/hirsel $(B)/libexec/hirsel/enter

$(B)/bin/hirsel: $(SHELL_OBJECTS) $(FENCE) $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(SHELL_LIBS)

# It is tried with the libc copy preloaded, which a sanitizer does not bear.
ENTER_OBJECTS := $(patsubst %.c,$(B)/enter/%.o,shell/enter.c shell/linker.c servers/lib/passing.c $(wildcard fence/*.c)) \
	$(B)/enter/proto/policy.pb-c.o

$(B)/enter/%.o: %.c | $(B)/include/.protos
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CSTD) $(WARN) $(OPT) -fPIE -MMD -MP -c -o $@ $<

$(B)/enter/proto/%.o: $(B)/include/proto/%.c
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(OPT) -fPIE -w -I$(B)/include/proto -c -o $@ $<

$(B)/libexec/hirsel/enter: $(ENTER_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -pie -Wl,--gc-sections -o $@ $^ -Wl,-Bstatic -lprotobuf-c -Wl,-Bdynamic

-include $(ENTER_OBJECTS:.o=.d)

# Tests that drive what was built: it must be there, whole.
SESSION_TESTS := session_life session_run session_terminal session_servers session_proc
SESSION_STAGE := $(B)/obj/tests/unit/fixture/session_stage.o
$(foreach test,$(SESSION_TESTS),$(eval UNIT_LINK_$(test) := $(SESSION_STAGE)))
$(SESSION_TESTS:%=$(B)/tests/unit/%): | all
$(SESSION_STAGE): WARN += -Wno-conversion
