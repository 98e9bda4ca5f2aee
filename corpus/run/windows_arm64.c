/* What starts a program for Arm64 Windows, for which Debian has no startup code: C's library takes the command line. */
int main(int argc, char **argv);
void exit(int status);
int _configure_narrow_argv(int mode);
int *__p___argc(void);
char ***__p___argv(void);

void mainCRTStartup(void) {
    _configure_narrow_argv(1);
    exit(main(*__p___argc(), *__p___argv()));
}

/* The compiler has `main` call this; there are no constructors. */
void __main(void) {}
