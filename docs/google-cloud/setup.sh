#!/usr/bin/env bash
# Makes a Google Cloud project ready for Respan: APIs, buckets, accounts, and just the rights that they need.
#
#   PROJECT=my-project REGION=europe-west4 BUCKET=my-project-respan docs/google-cloud/setup.sh
#
# May be run again at any time: what is there stays, what is missing is made. Needs gcloud, signed in as somebody who
# may do all this (roles/owner, or the administrators of IAM, Service Usage, Storage and Artifact Registry).
#
# Also, if given:
#   KUBERNETES_ACCOUNT=namespace/name   Airflow runs in GKE as this Kubernetes account (Workload Identity)
#   DATAFLOW=yes                        vertex.dataflow.enabled is to be used
#   CLOUD_BUILD=no                      ci_cd.image.builder is not cloud_build
set -euo pipefail

: "${PROJECT:?the id of the Google Cloud project}"
: "${REGION:?the region of all that runs, such as europe-west4}"
: "${BUCKET:?the name of the bucket for RESPAN_STORAGE}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
airflow="respan-airflow@${PROJECT}.iam.gserviceaccount.com"
workload="respan-workload@${PROJECT}.iam.gserviceaccount.com"

run() { gcloud --project="$PROJECT" --quiet "$@"; }

exists() { run "$@" > /dev/null 2>&1; }

grant_on_project() {
  run projects add-iam-policy-binding "$PROJECT" --member="$1" --role="$2" --condition=None > /dev/null
}

grant_on_bucket() {
  run storage buckets add-iam-policy-binding "gs://$1" --member="$2" --role="$3" > /dev/null
}

make_bucket() {
  exists storage buckets describe "gs://$1" ||
    run storage buckets create "gs://$1" --location="$REGION" --uniform-bucket-level-access --public-access-prevention
}

make_account() {
  exists iam service-accounts describe "$1@${PROJECT}.iam.gserviceaccount.com" ||
    run iam service-accounts create "$1" --display-name="$2"
}

echo "APIs"
apis=(aiplatform.googleapis.com storage.googleapis.com iam.googleapis.com iamcredentials.googleapis.com)
[[ "${CLOUD_BUILD:-yes}" == yes ]] && apis+=(cloudbuild.googleapis.com artifactregistry.googleapis.com)
[[ "${DATAFLOW:-no}" == yes ]] && apis+=(dataflow.googleapis.com)
run services enable "${apis[@]}"

echo "Storage: gs://$BUCKET"
make_bucket "$BUCKET"

echo "Accounts: $airflow submits and watches; $workload is what components and predictions run as"
make_account respan-airflow "Respan: Airflow"
make_account respan-workload "Respan: components and predictions"

if exists iam roles describe respanAirflow; then
  run iam roles update respanAirflow --file="$here/airflow-role.yaml" > /dev/null
else
  run iam roles create respanAirflow --file="$here/airflow-role.yaml" > /dev/null
fi
grant_on_project "serviceAccount:$airflow" "projects/$PROJECT/roles/respanAirflow"
grant_on_bucket "$BUCKET" "serviceAccount:$airflow" roles/storage.objectUser
run iam service-accounts add-iam-policy-binding "$workload" \
  --member="serviceAccount:$airflow" --role=roles/iam.serviceAccountUser > /dev/null

grant_on_project "serviceAccount:$workload" roles/aiplatform.user
grant_on_project "serviceAccount:$workload" roles/logging.logWriter
grant_on_bucket "$BUCKET" "serviceAccount:$workload" roles/storage.objectUser

if [[ "${DATAFLOW:-no}" == yes ]]; then
  echo "Dataflow"
  grant_on_project "serviceAccount:$workload" roles/dataflow.developer
  grant_on_project "serviceAccount:$workload" roles/dataflow.worker
  run iam service-accounts add-iam-policy-binding "$workload" \
    --member="serviceAccount:$workload" --role=roles/iam.serviceAccountUser > /dev/null
fi

if [[ "${CLOUD_BUILD:-yes}" == yes ]]; then
  echo "Images: $REGION-docker.pkg.dev/$PROJECT/respan"
  exists artifacts repositories describe respan --location="$REGION" ||
    run artifacts repositories create respan --location="$REGION" --repository-format=docker
  make_bucket "${PROJECT}_cloudbuild"
  grant_on_bucket "${PROJECT}_cloudbuild" "serviceAccount:$airflow" roles/storage.objectUser
  number=$(run projects describe "$PROJECT" --format='value(projectNumber)')
  builder="serviceAccount:${number}-compute@developer.gserviceaccount.com"
  run artifacts repositories add-iam-policy-binding respan --location="$REGION" \
    --member="$builder" --role=roles/artifactregistry.writer > /dev/null
  grant_on_bucket "${PROJECT}_cloudbuild" "$builder" roles/storage.objectViewer
  grant_on_project "$builder" roles/logging.logWriter
  run iam service-accounts add-iam-policy-binding "${number}-compute@developer.gserviceaccount.com" \
    --member="serviceAccount:$airflow" --role=roles/iam.serviceAccountUser > /dev/null
fi

if [[ -n "${KUBERNETES_ACCOUNT:-}" ]]; then
  echo "Workload Identity: $KUBERNETES_ACCOUNT is $airflow"
  run iam service-accounts add-iam-policy-binding "$airflow" --role=roles/iam.workloadIdentityUser \
    --member="serviceAccount:${PROJECT}.svc.id.goog[${KUBERNETES_ACCOUNT}]" > /dev/null
fi

cat << END

Ready. In Airflow's environment:   RESPAN_STORAGE=gs://$BUCKET
Airflow's connection google_cloud_default: project $PROJECT, credentials of $airflow
In a pipeline's settings.yaml:

  target: vertex
  vertex:
    region: $REGION
    service_account: $workload
END
