/* The ssh of the tests: it has the forkserver run what is to run elsewhere.
 *
 * It is what the script of a transport (see SshTransport in servers.py) names
 * in its first line. The rest of the script are the path of the forkserver's
 * socket, the hg that it forks for, and variables of the environment, each with
 * a NUL behind it. forkwire.py has what is said to the forkserver.
 *
 * It runs for as long as the command does, as ssh would, and the command dies
 * with it. Python would take longer to start than the rest of it takes.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* of a script, and of a message */
#define LONGEST (1 << 16)
/* what is the same to a shell and to a split at spaces */
#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
    "0123456789@%_+=:,./- "

static char script[LONGEST], message[LONGEST];
static size_t length = sizeof(uint32_t);
static char *variables[256];

static void die(const char *what)
{
    perror(what);
    exit(255);
}

static void add(const char *word)
{
    size_t size = strlen(word) + 1;
    if (length + size > sizeof message)
        die("too much to say");
    memcpy(message + length, word, size);
    length += size;
}

static void shell(char *command)
{
    char *words[] = {"sh", "-c", command, NULL};
    execve("/bin/sh", words, variables);
    die("/bin/sh");
}

static uint32_t hear(int connection)
{
    uint32_t number;
    /* a stream, but so little is never parted */
    if (read(connection, &number, sizeof number) != sizeof number)
        die("the forkserver has gone");
    return number;
}

/* program, script, [user@]host, command */
int main(int count, char **words)
{
    if (count != 4)
        die("usage");
    int file = open(words[1], O_RDONLY);
    ssize_t size = read(file, script, sizeof script - 1);
    char *end = script + size, *word = strchr(script, '\n');
    if (file < 0 || size <= 0 || !word)
        die(words[1]);
    close(file);

    char *path = word + 1, *hg = path + strlen(path) + 1, *command = words[3];
    int known = 0;
    for (word = hg + strlen(hg) + 1; word < end; word += strlen(word) + 1)
        variables[known++] = word;
    words[2][strcspn(words[2], "@")] = 0;
    char user[256], logname[256];
    snprintf(user, sizeof user, "USER=%s", words[2]);
    snprintf(logname, sizeof logname, "LOGNAME=%s", words[2]);
    variables[known++] = user;
    variables[known++] = logname;

    size_t name = strlen(hg);
    if (strncmp(command, hg, name) || command[name] != ' ' ||
        command[strspn(command, PLAIN)])
        shell(command);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *) &address, sizeof address))
        shell(command);

    char folder[4096], number[32];
    if (!getcwd(folder, sizeof folder))
        die("current folder");
    add(folder);
    mode_t mask = umask(0);
    snprintf(number, sizeof number, "%d", mask);
    add(number);
    char *arguments[64];
    int given = 0;
    for (word = strtok(command + name, " "); word; word = strtok(NULL, " "))
        arguments[given++] = word;
    snprintf(number, sizeof number, "%d", given);
    add(number);
    for (int i = 0; i < given; i++)
        add(arguments[i]);
    for (int i = 0; i < known; i++)
        add(variables[i]);

    /* NULs stand between words, not behind the last */
    uint32_t said = --length - sizeof said;
    memcpy(message, &said, sizeof said);
    struct iovec part = {message, length};
    union {
        char data[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } rights = {{0}};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1,
        .msg_control = rights.data, .msg_controllen = sizeof rights.data};
    struct cmsghdr *files = CMSG_FIRSTHDR(&header);
    files->cmsg_level = SOL_SOCKET;
    files->cmsg_type = SCM_RIGHTS;
    files->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(files), (int[]) {0, 1, 2}, 3 * sizeof(int));
    if (sendmsg(connection, &header, 0) != (ssize_t) length)
        die("the forkserver does not listen");

    /* the other end of a pipe is to notice when the command closes its own */
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    hear(connection);
    int status = hear(connection);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}
