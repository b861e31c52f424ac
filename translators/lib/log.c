/* The session's log, as translators write it. */
#include <stdarg.h>
#include <stdio.h>

#include "servers/lib/server.h"
#include "translators/lib/translator.h"

void translator_log(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_line("%s", text);
}
