"""One node of the store.

    core/          the rules: no I/O, no clock, no chance
    driver         runs one replica, and the next when that ends; decides what waits for the disk
    api/           HTTP contracts: translate requests and answers, pure
    shell/         HTTP server, peer links, disk, for real
    config         every setting, with its bounds; setting_types: how a setting is read
    addresses      the one spelling of an address
    door           opens the port before the rest is imported
    __main__       reads the settings and puts all of this together

Read core/ first, then driver.  Nothing here imports `cluster`.
"""
