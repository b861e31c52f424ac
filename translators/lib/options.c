/* Reading options. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "translators/lib/translator.h"

const char *option_value(const char *option, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(option, "--", 2) != 0 || strncmp(option + 2, name, length) != 0 ||
        option[2 + length] != '=')
        return NULL;
    return option + 2 + length + 1;
}

static int number_read(const char *text, uint64_t *number, char **end)
{
    /* strtoull would take a sign. */
    if (!isdigit((unsigned char)text[0]))
        return EINVAL;
    errno = 0;
    *number = strtoull(text, end, 10);
    return errno;
}

int option_number(const char *text, uint64_t *number)
{
    uint64_t value;
    char *end;
    int error = number_read(text, &value, &end);

    if (error == 0 && *end != '\0')
        error = EINVAL;
    if (error == 0)
        *number = value;
    return error;
}

int option_size(const char *text, uint64_t *size)
{
    static const char units[] = "KMGT";
    uint64_t value;
    char *end;
    int error = number_read(text, &value, &end);

    if (error == 0 && *end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

        if (!unit || end[1] != '\0')
            error = EINVAL;
        else if (value > UINT64_MAX >> shift)
            error = ERANGE;
        else
            value <<= shift;
    }
    if (error == 0)
        *size = value;
    return error;
}
