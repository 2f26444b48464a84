/*
 * Another way to the bundle's root, where its own path will not do: in strings that have no room for it, and where a
 * command line, a list or a format would take it apart. A program that was compiled with a store path may give it to
 * `sh -c`, put it into PATH or write it into a pattern of printf, for a store path has no blanks, no `:` and no `%`. What
 * takes no path apart is letters, digits, `/ . _ - + = @ ~` and all that is not ASCII.
 *
 * It is the way that AT_EXECFN goes, if that is good enough, or else an alias, a symbolic link that is made here:
 *
 *     /run/user/<euid>/sf/<hash of the root> -> the root       or in /run/sf (root's), /dev/shm/sf-<euid>, /tmp/sf-<euid>
 *
 * Nothing of this happens when the root will do.
 *
 * Who could make the alias lead elsewhere? It is used by its path, later, for as long as the program runs, so it is not
 * enough to look at it once: nobody else may ever be able to change it.
 *
 *     Whoever writes to its directory. So that is a directory, not a link to one (O_NOFOLLOW), the user's own, and nobody
 *     else may write to it: another, found there before, is passed over. That it is the user's own is asked twice: st_uid
 *     is, and the kernel lets nobody but an owner open with O_NOATIME. In a user namespace all owners without a number
 *     share one, 65534, and st_uid alone would take one for the other.
 *     Whoever writes to the directory above. That is root's or the user's own; and nobody else may write to it, unless it
 *     is sticky, where nobody can replace what is another's. (tmux and ssh-agent trust /tmp for the same reasons.)
 *     Nobody else: the two above those, /run, /dev and /, are the system's.
 *     The user, and root: they can do all of it without this.
 *
 * Others may go through the directory (0711): a server opens its files as another user than it started as. They can tell
 * whether the user has run a bundle whose place they know, and no more. Two starts at once: who comes second finds the
 * link. A link with another text, of a root with the same hash, stays, and the next name is tried. Nothing is ever
 * replaced or removed. That it leads to the root is looked at in the end: links of a file system that is mounted with
 * nosymfollow do not.
 */

enum { PATH_MAX = 4096, AT_FDCWD = -100, ENOENT = 2, EINVAL = 22, O_RDONLY_CLOEXEC = 02000000 };
enum { O_NOATIME = 01000000, AT_EMPTY_PATH = 0x1000, S_ISVTX = 01000, NOT_OTHERS = 022, ALIAS_MODE = 0711 };
/* /run/user/4294967295/sf/0123456789ab is the longest; the bundler sees to it that there is room for it. */
enum { ALIAS_MAX = 36, ALIAS_DIGITS = 12, ALIAS_TRIES = 16 };

/* Writes a number before `end`. */
static const char *decimal(char *end, word number)
{
	*--end = 0;
	do
		*--end = (char)('0' + number % 10);
	while (number /= 10);
	return end;
}

static u64 hash(u64 value, const halves *words, word count)
{
	for (; count; count--) {
		value = (value ^ *words++) * 0x100000001b3;
		value ^= value >> 32;
	}
	return value;
}
#define SEED 0xcbf29ce484222325

/* Whether something may take a path apart at this character. */
static int is_special(char c)
{
	const char *special = "!\"#$%&'()*,:;<>?[\\]^`{|}\177";
	if ((u8)c <= ' ')
		return 1;
	while (*special && *special != c)
		special++;
	return *special;
}

static int is_plain(const char *path)
{
	while (*path && !is_special(*path))
		path++;
	return !*path;
}

static int status(long fd, const char *path, struct status *status, long flags)
{
	return sys4(SYS_newfstatat, fd, (long)path, (long)status, flags) == 0;
}

static int is_root(long fd, const char *path, const struct status *root)
{
	struct status found;
	return status(fd, path, &found, 0) && found.device == root->device && found.inode == root->inode;
}

/*
 * The length of the shortest way to the root that AT_EXECFN begins with; it goes to `to`. 0 if there is none of at most
 * `limit` bytes, or, where it is to be plain, of plain ones.
 */
static word shorter_root(char *to, const char *execfn, const struct status *root, word limit, int plain)
{
	if (!execfn || *execfn != '/')
		return 0;
	for (word i = 0; execfn[i] && i <= limit; i++) {
		if (i && execfn[i] == '/') {
			to[i] = 0;
			if (is_root(AT_FDCWD, to, root))
				return i;
		}
		if (plain && is_special(execfn[i]))
			return 0;
		to[i] = execfn[i];
	}
	return 0;
}

/* Whether only the user can change what is in a directory; root can everything, and owns it with `roots`. */
static int is_guarded(const struct status *status, word euid, int roots)
{
	u32 mode = status->mode, owner = status->uid;
	return (owner == euid || (roots && owner == 0)) && (!(mode & NOT_OTHERS) || (roots && mode & S_ISVTX));
}

/*
 * Opens the user's directory for aliases, which is made if it is not there; at most -1 where it cannot be trusted.
 * @param name the slash before the path's last component
 */
static long alias_directory(char *path, char *name, word euid)
{
	struct status stat;
	*name = 0;
	int good = status(AT_FDCWD, path, &stat, 0) && is_guarded(&stat, euid, 1);
	*name = '/';
	if (!good)
		return -1;
	long flags = O_RDONLY_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NOATIME;
	long fd = sys4(SYS_openat, AT_FDCWD, (long)path, flags, 0);
	if (fd == -ENOENT) {
		long made = sys4(SYS_mkdirat, AT_FDCWD, (long)path, ALIAS_MODE, 0);
		fd = sys4(SYS_openat, AT_FDCWD, (long)path, flags, 0);
		if (made == 0 && fd >= 0) /* whatever the umask is */
			sys4(SYS_fchmod, fd, ALIAS_MODE, 0, 0);
	}
	if (fd >= 0 && !(status(fd, "", &stat, AT_EMPTY_PATH) && is_guarded(&stat, euid, 0))) {
		sys4(SYS_close, fd, 0, 0, 0);
		return -1;
	}
	return fd;
}

/* Whether the link of that name in a directory says where the root lies; it is made if there is none. 0: another is there. */
static long is_alias(long fd, const char *name, const char *root)
{
	char text[PATH_MAX];
	long n = sys4(SYS_readlinkat, fd, (long)name, (long)text, sizeof text);
	if (n == -ENOENT) {
		sys4(SYS_symlinkat, (long)root, fd, (long)name, 0);
		n = sys4(SYS_readlinkat, fd, (long)name, (long)text, sizeof text);
	}
	for (long i = 0; i < n; i++)
		if (text[i] != root[i] || !root[i])
			return 0;
	return n < 0 ? n == -EINVAL ? 0 : n : !root[n];
}

/* The length of an alias of the root, which goes to `to`, of at most `limit` bytes; 0 where there is no place for one. */
static word alias_of(char *to, const char *root, const struct status *stat, word euid, word limit)
{
	u64 hashed = SEED;
	for (const char *c = root; *c; c++) {
		u64 byte = (u8)*c;
		hashed = hash(hashed, &byte, 1);
	}
	const char *form = euid ? "/run/user/%/sf\0/dev/shm/sf-%\0/tmp/sf-%\0" : "/run/sf\0/dev/shm/sf-%\0/tmp/sf-%\0";
	for (; *form; form++) {
		char path[ALIAS_MAX + 1], digits[24], *at = path, *name = path;
		for (; *form; form++) {
			if (*form == '/')
				name = at;
			if (*form != '%')
				*at++ = *form;
			else /* of 20 digits at most, so all of it fits */
				for (const char *digit = decimal(digits + sizeof digits, euid); *digit;)
					*at++ = *digit++;
		}
		*at = 0;
		word length = at - path + 1 + ALIAS_DIGITS;
		long fd = length <= limit && length <= ALIAS_MAX ? alias_directory(path, name, euid) : -1;
		if (fd < 0)
			continue;
		*at++ = '/';
		at[ALIAS_DIGITS] = 0;
		long found = 0;
		for (word tries = 0; !found && tries < ALIAS_TRIES; tries++) {
			u64 number = hashed + tries;
			for (int i = ALIAS_DIGITS; i--; number >>= 4)
				at[i] = "0123456789abcdef"[number & 15];
			found = is_alias(fd, at, root);
		}
		int good = found > 0 && is_root(fd, at, stat);
		sys4(SYS_close, fd, 0, 0, 0);
		if (good) {
			for (word i = 0; i <= length; i++)
				to[i] = path[i];
			return length;
		}
	}
	return 0;
}

/*
 * The length of another way to the root, which goes to `to`: a plain one of at most `limit` bytes, and where there is none
 * and one is needed, any of at most so many. 0 where there is none.
 * @param euid as the auxiliary vector has it, if it does
 * @param needed whether the root itself has no room
 */
static word other_root(char *to, const char *root, const char *execfn, const word *euid, word limit, int needed)
{
	struct status stat;
	word other = 0;
	if (status(AT_FDCWD, root, &stat, 0)) {
		other = shorter_root(to, execfn, &stat, limit, 1);
		if (!other && euid)
			other = alias_of(to, root, &stat, *euid, limit);
		if (!other && needed)
			other = shorter_root(to, execfn, &stat, limit, 0);
	}
	return other;
}
