# The translator library and the translators: a file or a folder for each.
LIBTRANSLATOR := $(B)/lib/libtranslator.a
LIBTRANSLATOR_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard translators/lib/*.c))

$(LIBTRANSLATOR): $(LIBTRANSLATOR_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

TRANSLATOR_NAMES := $(basename $(notdir $(wildcard translators/*.c))) \
	$(filter-out lib,$(sort $(notdir $(patsubst %/,%,$(dir $(wildcard translators/*/*.c))))))
TRANSLATORS := $(TRANSLATOR_NAMES:%=$(B)/libexec/hirsel/translators/%)
PROGRAMS += $(TRANSLATORS)

translator_objects = $(patsubst %.c,$(B)/obj/%.o,$(wildcard translators/$(1).c translators/$(1)/*.c))

TRANSLATOR_LIBS_archive := -larchive

.SECONDEXPANSION:
$(TRANSLATORS): $(B)/libexec/hirsel/translators/%: $$(call translator_objects,$$*) $(LIBTRANSLATOR) $$(SERVERLIB) $$(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(TRANSLATOR_LIBS_$*) $(STATIC_LIBS)

# Tests speak to the programs over a socket, as fs does.
TRANSLATOR_TESTS := $(filter translator_% archive_%,$(basename $(notdir $(wildcard tests/unit/*.c))))
TRANSLATOR_CLIENT := $(B)/obj/tests/unit/fixture/translator_client.o
$(TRANSLATOR_CLIENT): WARN += -Wno-conversion -Wno-format-truncation
$(foreach test,$(TRANSLATOR_TESTS),$(eval UNIT_LINK_$(test) := $(TRANSLATOR_CLIENT)))
$(TRANSLATOR_TESTS:%=$(B)/tests/unit/%): | $(TRANSLATORS)
$(foreach test,$(filter archive_%,$(TRANSLATOR_TESTS)),$(eval UNIT_LIBS_$(test) := -larchive))

FUZZ_LINK_archive_fuzz := $(LIBTRANSLATOR_OBJECTS) $(B)/obj/servers/lib/narrow.o $(B)/obj/fence/landlock.o \
	$(filter-out %/main.o,$(patsubst %.c,$(B)/obj/%.o,$(wildcard translators/archive/*.c)))
FUZZ_LIBS_archive_fuzz := -larchive -lseccomp
