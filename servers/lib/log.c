/* The session's log: one line an event, on standard error, which init opened with O_APPEND. */
#include "servers/lib/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
/* What a peer can make a server say is bounded: so many lines in one period, the rest is counted.
 */
#define LINES_PER_PERIOD 200
#define PERIOD_SECONDS 10
#define LOG_MAX_BYTES (8 << 20)

struct log_state {
    char name[32];
    time_t period;
    unsigned lines;
    unsigned suppressed;
};

static struct log_state log_state = {.name = "hirsel"};

void log_name(const char *name)
{
    snprintf(log_state.name, sizeof log_state.name, "%s", name);
}

/* The length of the UTF-8 sequence at `text`; 0 where it is none or stands for a control. */
static size_t sequence_length(const unsigned char *text)
{
    size_t length = text[0] < 0xc2   ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;

    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if (length == 2 && text[0] == 0xc2 && text[1] < 0xa0)
        return 0;
    return length;
}

/* Names that a program chose are in the text: nothing of them may move a terminal's cursor or
 * begin a line of its own. */
static size_t text_escape(const char *from, char *to, size_t size)
{
    size_t used = 0;

    while (*from != '\0' && used + 5 < size) {
        unsigned char byte = (unsigned char)*from;
        size_t length = byte < 0x80 ? 1 : sequence_length((const unsigned char *)from);

        if (length == 0 || byte < 0x20 || byte == 0x7f) {
            used += (size_t)snprintf(to + used, 5, "\\x%02x", byte);
            from++;
        } else {
            memcpy(to + used, from, length);
            used += length;
            from += length;
        }
    }
    return used;
}

static void line_write(const char *text)
{
    char line[LINE_MAX_BYTES];
    struct timespec now;
    struct tm parts;
    size_t used;
    struct stat status;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             ".%03ld %s[%d]: ", now.tv_nsec / 1000000, log_state.name, getpid());
    used += text_escape(text, line + used, sizeof line - used - 1);
    line[used++] = '\n';
    /* One write: lines of several servers do not mix. A full disk must not stop a server. */
    if (write(STDERR_FILENO, line, used) < 0)
        return;
    if (fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size > LOG_MAX_BYTES && ftruncate(STDERR_FILENO, 0) == 0)
        line_write("the log had grown too long and was emptied");
}

void log_line(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list arguments;
    int saved = errno;
    time_t now = time(NULL);

    if (now < log_state.period || now >= log_state.period + PERIOD_SECONDS) {
        if (log_state.suppressed > 0) {
            snprintf(text, sizeof text, "%u more lines were left out", log_state.suppressed);
            line_write(text);
        }
        log_state.period = now;
        log_state.lines = 0;
        log_state.suppressed = 0;
    }
    if (log_state.lines >= LINES_PER_PERIOD) {
        log_state.suppressed++;
        goto out;
    }
    log_state.lines++;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    line_write(text);
out:
    errno = saved;
}

void log_drop(struct port *port, int error, void *unused)
{
    (void)unused;
    log_line("dropped the connection of process %d: %s", (int)port_peer(port).pid, strerror(error));
}
