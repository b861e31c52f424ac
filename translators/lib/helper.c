/* A process that does long work for a translator and goes on if the translator is killed. */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "translators/lib/library.h"

pid_t translator_fork(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    /* The socket above all: a hang-up must tell that the translator is gone. */
    close_range(LISTEN_DESCRIPTOR, LISTEN_DESCRIPTOR, 0);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (library.translator->narrow)
        narrow();
    return 0;
}

void helper_follow(void)
{
    static pid_t parent;

    if (getppid() == parent)
        return;
    /* The first parent is the translator, whose end is not ours; the next is init. */
    if (parent != 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    parent = getppid();
}
