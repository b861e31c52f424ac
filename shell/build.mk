# hirsel: the user's way in, and what it starts.
SHELL_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out shell/enter.c,$(wildcard shell/*.c)))
SHELL_LIBS := $(STATIC_LIBS) -ljansson
PROGRAMS += $(B)/bin/hirsel $(B)/libexec/hirsel/enter

$(B)/bin/hirsel: $(SHELL_OBJECTS) $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(SHELL_LIBS)

# It is tried with the libc copy preloaded, which a sanitizer does not bear.
$(B)/libexec/hirsel/enter $(B)/obj/shell/enter.o: override SANITIZE :=
$(B)/libexec/hirsel/enter: $(B)/obj/shell/enter.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

# Tests that drive what was built: it must be there, whole.
SESSION_TESTS := session_life session_run session_terminal session_servers session_proc
SESSION_STAGE := $(B)/obj/tests/unit/fixture/session_stage.o
$(foreach test,$(SESSION_TESTS),$(eval UNIT_LINK_$(test) := $(SESSION_STAGE)))
$(SESSION_TESTS:%=$(B)/tests/unit/%): | all
$(SESSION_STAGE): WARN += -Wno-conversion
