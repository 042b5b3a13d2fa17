/* The command `usp` of a wheel: its code is in the library beside it, which Python loads as well. */
int usp_main(int count, char **arguments);

int main(int count, char **arguments) {
    return usp_main(count, arguments);
}
