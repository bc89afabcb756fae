/* xmlrpc-c's own server with one method that gives a constant: the peer of benches/calls/run.py.

   Usage: abyss SERIAL. Prints the address that it listens on. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xmlrpc-c/abyss.h>
#include <xmlrpc-c/base.h>
#include <xmlrpc-c/server.h>
#include <xmlrpc-c/server_abyss.h>

static int serial;

static xmlrpc_value *last_serial(xmlrpc_env *env, xmlrpc_value *params, void *info, void *call) {
    (void)info, (void)call;
    xmlrpc_decompose_value(env, params, "()");
    return env->fault_occurred ? NULL : xmlrpc_int_new(env, serial);
}

int main(int count, char **arguments) {
    serial = count > 1 ? atoi(arguments[1]) : 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    if (door < 0 || bind(door, (struct sockaddr *)&address, length) != 0 || listen(door, 128) != 0 ||
        getsockname(door, (struct sockaddr *)&address, &length) != 0) {
        perror("no socket");
        return 1;
    }
    printf("at http://127.0.0.1:%d/RPC2\n", ntohs(address.sin_port));
    fflush(stdout);

    xmlrpc_env env;
    xmlrpc_env_init(&env);
    xmlrpc_server_abyss_global_init(&env);
    xmlrpc_registry *registry = xmlrpc_registry_new(&env);
    struct xmlrpc_method_info3 method = {.methodName = "changelog_last_serial", .methodFunction = last_serial};
    xmlrpc_registry_add_method3(&env, registry, &method);
    xmlrpc_server_abyss_parms settings;
    memset(&settings, 0, sizeof settings);
    settings.config_file_name = NULL;
    settings.registryP = registry;
    settings.log_file_name = NULL;
    settings.keepalive_timeout = 60;
    /* Its default, 30, would make it open a connection for every thirtieth call. */
    settings.keepalive_max_conn = 1000000000;
    settings.timeout = 60;
    settings.dont_advertise = 1;
    settings.socket_bound = 1;
    settings.socket_handle = door;
    settings.uri_path = "/RPC2";
    settings.max_conn = 64;
    xmlrpc_server_abyss(&env, &settings, XMLRPC_APSIZE(max_conn));
    if (env.fault_occurred) {
        fprintf(stderr, "%s\n", env.fault_string);
        return 1;
    }
    return 0;
}
