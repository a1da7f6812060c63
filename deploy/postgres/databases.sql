-- Run once, when the server's volume is empty: a role and a database for Airflow, and for ML Metadata. Neither role can
-- read the other's database. ML Metadata creates a database for each pipeline; the one made here holds its locks.
\getenv airflow_password AIRFLOW_DATABASE_PASSWORD
\getenv metadata_password METADATA_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE DATABASE airflow OWNER airflow ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
CREATE ROLE respan LOGIN CREATEDB PASSWORD :'metadata_password';
CREATE DATABASE respan OWNER respan ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE respan FROM PUBLIC;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
