# The name spaces: tables, walks, records.
NAMESLIB := $(B)/lib/libnames.a
NAMESLIB_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/names/*.c))
NAMESLIB_LIBS := -Wl,-Bstatic -lnettle -Wl,-Bdynamic

$(NAMESLIB): $(NAMESLIB_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

NAMES_UNITS := names_table names_record names_walk
$(foreach unit,$(NAMES_UNITS),$(eval UNIT_LINK_$(unit) = $$(NAMESLIB) $$(SERVERLIB)))
$(foreach unit,$(NAMES_UNITS),$(eval UNIT_LIBS_$(unit) = $$(NAMESLIB_LIBS) -lseccomp))
