"""`python -m jobs.report my.yaml`: write the report and list it in MLflow."""

from jobs.entry import main

if __name__ == "__main__":
    main("report")
