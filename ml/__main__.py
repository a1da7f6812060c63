from ml.utf8_mode import ensure_utf8_mode

if __name__ == "__main__":
    ensure_utf8_mode()
    from ml.cli import main

    main()
